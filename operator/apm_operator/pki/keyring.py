"""The authorities with their keys, and the Secret that keeps them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from apm_operator.errors import OperatorError
from apm_operator.kinds import FIELD_MANAGER, GROUP, MANAGED_BY_LABEL, SECRETS
from apm_operator.pki import certificates, rotation
from apm_operator.pki.certificates import Pair
from apm_operator.pki.rotation import Authorities, Authority, Step

ROTATE = f"{GROUP}/rotate"
"""Annotation of the Secret: another value of it asks for another authority now."""
_STATE = "authorities.json"


class KeyringBroken(OperatorError):
    """The Secret of the authorities can't be read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The authorities, and by their identifiers certificates and keys; one that signs no more has no key.

    Attributes:
        asked: what was last asked for by the annotation ROTATE.
    """

    authorities: Authorities
    pairs: Mapping[str, Pair]
    asked: str = ""

    @property
    def bundle(self) -> str:
        """Certificates of all that are trusted, PEM."""
        return certificates.bundle(self.pairs[each.id].certificate for each in self.authorities.trusted)

    @property
    def ids(self) -> frozenset[str]:
        """Identifiers of all that are trusted."""
        return frozenset(each.id for each in self.authorities.trusted)

    @property
    def signing(self) -> Pair:
        """The one that signs."""
        return self.pairs[self.authorities.signing.id]


def new(now: float, life: float) -> Keyring:
    """A first authority."""
    made, pair = _authority(now, life)
    return Keyring(Authorities(made), {made.id: pair})


def advance(ring: Keyring, now: float, *, life: float, overlap: float) -> Keyring:
    """Do what is due; the same keyring where nothing is.

    Args:
        ring: the keyring.
        now: seconds since 1970.
        life: of an authority, in seconds.
        overlap: see `rotation.step`.
    """
    while (step := rotation.step(ring.authorities, now, overlap)) is not Step.REST:
        if step is Step.ANNOUNCE:
            ring = _announced(ring, now, life, ring.asked)
        elif step is Step.SWITCH:
            ring = _kept(rotation.switched(ring.authorities), ring)
        else:
            ring = _kept(rotation.dropped(ring.authorities, now), ring)
    return ring


def rotate(ring: Keyring, now: float, *, life: float, asked: str) -> Keyring:
    """Make the next authority known before its time, unless that was done, or one is known already."""
    if asked == ring.asked or ring.authorities.coming is not None:
        return ring
    return _announced(ring, now, life, asked)


def promise(ring: Keyring, now: float, ends: float) -> Keyring:
    """See `rotation.promised`."""
    authorities = rotation.promised(ring.authorities, now, ends)
    return ring if authorities is ring.authorities else replace(ring, authorities=authorities)


def manifest(ring: Keyring, namespace: str, name: str, version: str) -> dict[str, Any]:
    """The Secret; written only where it is still of this resource version."""
    parts = {_STATE: json.dumps(_state(ring), sort_keys=True).encode(), "ca.crt": ring.bundle.encode()}
    for each, pair in ring.pairs.items():
        parts[f"{each}.crt"] = pair.certificate
        if pair.key:
            parts[f"{each}.key"] = pair.key
    return {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "resourceVersion": version,
            "labels": {MANAGED_BY_LABEL: FIELD_MANAGER, "app.kubernetes.io/part-of": "apm"},
        },
        "type": "Opaque",
        "data": {name: base64.b64encode(part).decode() for name, part in parts.items()},
    }


def read(body: Mapping[str, Any]) -> Keyring:
    """The keyring in the Secret.

    Raises:
        KeyringBroken: its content is not what `manifest` wrote.
    """
    try:
        data = {name: base64.b64decode(value) for name, value in (body.get("data") or {}).items()}
        state = json.loads(data[_STATE])
        authorities = Authorities(
            signing=_read_authority(state["signing"]),
            coming=_read_authority(state["coming"]) if state.get("coming") else None,
            leaving=tuple(_read_authority(each) for each in state.get("leaving", ())),
        )
        pairs = {each.id: Pair(data[f"{each.id}.crt"], data.get(f"{each.id}.key", b"")) for each in authorities.trusted}
        ring = Keyring(authorities, pairs, str(state.get("asked", "")))
        _check(ring)
    except (KeyError, TypeError, ValueError) as error:
        raise KeyringBroken(
            f"The Secret {body['metadata']['name']} does not hold what the operator wrote ({type(error).__name__}): "
            "restore it, or delete it to have a new authority made, which all agents then get new certificates of"
        ) from error
    return ring


def _authority(now: float, life: float) -> tuple[Authority, Pair]:
    pair = certificates.authority(now, life)
    return Authority(certificates.key_id(pair.certificate), made=now, ends=now + life), pair


def _announced(ring: Keyring, now: float, life: float, asked: str) -> Keyring:
    made, pair = _authority(now, life)
    return Keyring(rotation.announced(ring.authorities, made), {**ring.pairs, made.id: pair}, asked)


def _kept(authorities: Authorities, ring: Keyring) -> Keyring:
    """Without what is trusted no more, and without the keys that sign no more."""
    gone = {each.id for each in authorities.leaving}
    kept = {each.id: ring.pairs[each.id] for each in authorities.trusted}
    pairs = {name: Pair(pair.certificate, b"") if name in gone else pair for name, pair in kept.items()}
    return replace(ring, authorities=authorities, pairs=pairs)


def _check(ring: Keyring) -> None:
    for each in ring.authorities.trusted:
        if certificates.key_id(ring.pairs[each.id].certificate) != each.id:
            raise ValueError(each.id)
    for each in ring.authorities.trusted:
        if each not in ring.authorities.leaving and not certificates.belong_together(ring.pairs[each.id]):
            raise ValueError(each.id)


def _state(ring: Keyring) -> dict[str, Any]:
    authorities = ring.authorities
    state: dict[str, Any] = {
        "signing": _written(authorities.signing),
        "leaving": [_written(each) for each in authorities.leaving],
        "asked": ring.asked,
    }
    return state | ({"coming": _written(authorities.coming)} if authorities.coming else {})


def _written(authority: Authority) -> dict[str, Any]:
    return {
        "id": authority.id,
        "made": authority.made,
        "ends": authority.ends,
        "signedUntil": authority.signed_until,
    }


def _read_authority(state: Mapping[str, Any]) -> Authority:
    return Authority(
        str(state["id"]),
        made=float(state["made"]),
        ends=float(state["ends"]),
        signed_until=float(state["signedUntil"]),
    )
