"""Authorities other than the operator's own that sign for agents: each counts for those agents alone whom it signs."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_MOST_BYTES = 65_536
_MOST = 8
"""Certificates of one agent's authority; a chain has two or three."""
_MOST_TOLD = 700_000
"""Bytes; a Secret holds a MiB, in base64."""
_KEPT_SECONDS = 600.0
"""The kubelet brings a new certificate within two minutes, and callers learn as late whom to trust."""

_log = structlog.stdlib.get_logger(__name__)


def readable(text: str, most: int = _MOST) -> tuple[bytes, ...]:
    """The certificates in a text that somebody else wrote, each as PEM; none where it holds anything else."""
    if len(text) > _MOST_BYTES:
        return ()
    try:
        found = x509.load_pem_x509_certificates(text.encode("ascii"))
        return tuple(each.public_bytes(Encoding.PEM) for each in found[:most])
    except ValueError:
        return ()


def is_unmistakable(authority: bytes) -> bool:
    """Whether a certificate is of an authority and can't be taken for that of another one.

    OpenSSL finds who has signed by name and key identifier, and stops at the first: an authority with the name and
    identifier of another, or with its key and other limits, would have whom that one signed refused. So it has to be
    signed with its own key, and the identifier made of that key, by RFC 5280, 4.2.1.2, or RFC 7093, 2, method 1.
    """
    try:
        certificate = x509.load_pem_x509_certificate(authority)
        said = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        signs = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        certificate.verify_directly_issued_by(certificate)
        key = certificate.public_key()
    except (x509.ExtensionNotFound, InvalidSignature, TypeError, ValueError):
        return False
    match key:
        case ec.EllipticCurvePublicKey():
            bits = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        case rsa.RSAPublicKey():
            bits = key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        case ed25519.Ed25519PublicKey():
            bits = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        case _:
            return False
    by_sha1 = x509.SubjectKeyIdentifier.from_public_key(key).digest
    return signs and said in (by_sha1, hashlib.sha256(bits).digest()[:20])


def has_signed(authorities: Iterable[bytes], certificate: bytes) -> bool:
    """Whether one of these has itself signed a certificate; PEM and DER.

    Raises:
        ValueError: one of them can't be read.
    """
    leaf = x509.load_der_x509_certificate(certificate)
    for each in authorities:
        try:
            leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(each))
        except (InvalidSignature, TypeError, ValueError):
            continue
        return True
    return False


class Signers:
    """Which of them signs for which agent; one that has just been replaced still counts for a while."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.changed: Callable[[], None] = lambda: None
        """Called when others count."""
        self._until: dict[str, dict[bytes, float]] = {}

    def note(self, agent: str, signing: Iterable[bytes]) -> None:
        """These sign for the agent now, given as `namespace/name`; none where the operator does."""
        now = self._clock()
        before = self._until.get(agent, {})
        kept = {each: min(until, now + _KEPT_SECONDS) for each, until in before.items() if until > now}
        found = kept | dict.fromkeys(signing, math.inf)
        if found:
            self._until[agent] = found
        else:
            self._until.pop(agent, None)
        if found.keys() != before.keys():
            self.changed()

    def release(self, agent: str) -> None:
        """The agent is gone."""
        if self._until.pop(agent, None) is not None:
            self.changed()

    def of(self, agent: str) -> tuple[bytes, ...]:
        """Those that count for an agent."""
        now = self._clock()
        return tuple(sorted(each for each, until in self._until.get(agent, {}).items() if until > now))

    def text(self) -> str:
        """All of it, for the processes that don't lead, and for the next one that does."""
        agents: dict[str, list[str]] = {}
        authorities: dict[str, str] = {}
        size = 0
        for agent in sorted(self._until):
            found = {hashlib.sha256(each).hexdigest(): each.decode() for each in self.of(agent)}
            size += len(agent) + sum(80 + len(each) * (name not in authorities) for name, each in found.items())
            if size > _MOST_TOLD:
                _log.warning(
                    "There is no room to tell who signs for all agents: some can't ask about tokens", first=agent
                )
                break
            if found:
                agents[agent] = sorted(found)
                authorities |= found
        return json.dumps({"agents": agents, "authorities": authorities}, sort_keys=True)

    def restore(self, text: str) -> None:
        """Take up what another process knew: it counts for a while, until the agents have been looked at."""
        until = self._clock() + _KEPT_SECONDS
        for agent, signing in read(text).items():
            self._until.setdefault(agent, dict.fromkeys(signing, until))


def read(text: str) -> dict[str, tuple[bytes, ...]]:
    """Who signs for which agent, as `Signers.text` says it; nothing where there is no text.

    Raises:
        ValueError: it is another text.
    """
    if not text:
        return {}
    try:
        said = json.loads(text)
        authorities = {name: each.encode() for name, each in said["authorities"].items()}
        return {agent: tuple(authorities[name] for name in names) for agent, names in said["agents"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("it does not say who signs for which agent") from error
