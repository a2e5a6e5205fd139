"""Authorities other than the operator's own that sign for agents: each counts for those agents alone whom it signs."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_MOST_BYTES = 65_536
_MOST = 8
"""Certificates of one agent's authority; a chain has two or three."""
_KEPT_SECONDS = 600.0
"""The kubelet brings a new certificate within two minutes, and callers learn as late whom to trust."""


def readable(text: str) -> tuple[bytes, ...]:
    """The certificates in a text that somebody else wrote, each as PEM; none where it holds anything else."""
    if len(text) > _MOST_BYTES:
        return ()
    try:
        found = x509.load_pem_x509_certificates(text.encode("ascii"))
        return tuple(each.public_bytes(Encoding.PEM) for each in found[:_MOST])
    except ValueError:
        return ()


def is_unmistakable(authority: bytes) -> bool:
    """Whether the identifier of an authority's key is made of that key.

    One that was chosen could be another authority's: OpenSSL then takes one for the other, and refuses whom the other
    has signed. The two ways are those of RFC 5280, 4.2.1.2, and of RFC 7093, 2, method 1.
    """
    try:
        certificate = x509.load_pem_x509_certificate(authority)
        said = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        signs = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        key = certificate.public_key()
    except (x509.ExtensionNotFound, ValueError):
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


class Signers:
    """Which of them signs for which agent; one that has just been replaced still counts for a while."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._until: dict[str, dict[bytes, float]] = {}

    def note(self, agent: str, signing: Iterable[bytes]) -> None:
        """These sign for the agent now, given as `namespace/name`; none where the operator does."""
        now = self._clock()
        before = self._until.get(agent, {})
        kept = {each: min(until, now + _KEPT_SECONDS) for each, until in before.items() if until > now}
        if found := kept | dict.fromkeys(signing, math.inf):
            self._until[agent] = found
        else:
            self.release(agent)

    def release(self, agent: str) -> None:
        """The agent is gone."""
        self._until.pop(agent, None)

    def of(self, agent: str) -> tuple[bytes, ...]:
        """Those that count for an agent."""
        now = self._clock()
        return tuple(sorted(each for each, until in self._until.get(agent, {}).items() if until > now))
