"""A certificate in its Secret: what one is to hold, and whether it does."""

from __future__ import annotations

import base64
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

from apm_operator.kinds import GROUP
from apm_operator.pki import certificates
from apm_operator.pki.certificates import Leaf, Pair, Subject
from apm_operator.pki.rotation import RENEW_AT

CERTIFICATE, KEY, AUTHORITY = "tls.crt", "tls.key", "ca.crt"
LIFE = f"{GROUP}/certificate-seconds"
"""Annotation of a certificate's Secret: the life that was asked for. What was given may be shorter."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a Secret is to hold; `life` in seconds."""

    subject: Subject
    life: float


@dataclass(frozen=True, slots=True)
class Held:
    """What a Secret holds.

    Attributes:
        leaf: None where there is no certificate that can be used.
        lacking: why a new one has to be made now, "" where none has.
        authority: the `ca.crt`.
    """

    leaf: Leaf | None = None
    lacking: str = ""
    authority: str = ""


def renewal(leaf: Leaf) -> float:
    """When a certificate is to be renewed, in seconds since 1970."""
    return leaf.made + (leaf.ends - leaf.made) * RENEW_AT


def examine(body: Mapping[str, Any], wanted: Wanted, trusted: Container[str], now: float) -> Held:
    """What a Secret holds, measured by what it is to hold.

    Args:
        body: the Secret.
        wanted: what is to be in it.
        trusted: identifiers of the authorities whose certificates everybody trusts.
        now: the time, in seconds since 1970.
    """
    try:
        held = read(body)
    except ValueError:
        return Held(lacking="it can't be read")
    leaf = held.leaf
    if leaf is None or leaf.ends <= now:
        return Held(lacking="it has ended")
    if leaf.issuer not in trusted or leaf.subject != wanted.subject:
        return Held(lacking="it is of another authority, or for another agent")
    if (body["metadata"].get("annotations") or {}).get(LIFE) != f"{wanted.life:g}":
        return replace(held, lacking="another life is asked for")
    return replace(held, lacking="it is due") if now >= renewal(leaf) else held


def read(body: Mapping[str, Any]) -> Held:
    """What a Secret of type `kubernetes.io/tls` holds.

    Raises:
        ValueError: its content is no certificate with its key.
    """
    found = pair(body)
    leaf = certificates.read(found.certificate)
    if not certificates.belong_together(found):
        raise ValueError("the key is not the certificate's")
    return Held(leaf, authority=base64.b64decode((body.get("data") or {}).get(AUTHORITY) or "").decode())


def pair(body: Mapping[str, Any]) -> Pair:
    """The certificate and key in a Secret, as they are."""
    data = body.get("data") or {}
    return Pair(*(base64.b64decode(data.get(name) or "") for name in (CERTIFICATE, KEY)))


def content(pair: Pair, authority: str) -> dict[str, Any]:
    """The part of the Secret's manifest that says what it holds."""
    parts = {CERTIFICATE: pair.certificate, KEY: pair.key, AUTHORITY: authority.encode()}
    return {
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(part).decode() for name, part in parts.items()},
    }


def marks(wanted: Wanted) -> dict[str, str]:
    """Annotations of a Secret that `content` fills."""
    return {LIFE: f"{wanted.life:g}"}
