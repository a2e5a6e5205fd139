"""The operator's authority at work: signs certificates, and has its successor ready in time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from apm_operator.errors import ApiError, Conflict, NotFound
from apm_operator.kinds import SECRETS
from apm_operator.pki import certificates, keyring, rotation
from apm_operator.pki.certificates import Pair, Subject
from apm_operator.pki.keyring import Keyring, KeyringBroken

if TYPE_CHECKING:
    from apm_operator.kube import Kube

_ABSENT = "1"
"""A resource version that no object has: an apply with it makes the object, or fails."""
_LOOK_SECONDS = 15.0
_RETRY_SECONDS = 2.0

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class Signed:
    """A new certificate with its key, and the certificate of the authority that signed it."""

    pair: Pair
    authority: str


class Issuer:
    """Signs for whoever leads; the keys lie in a Secret of the operator's namespace.

    Args:
        kube: the Kubernetes API.
        namespace: the operator's own.
        secret: name of the Secret.
        life: of an authority, in seconds.
        overlap: seconds for which the next authority is known to everybody before it signs.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        secret: str,
        *,
        life: float,
        overlap: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._secret = secret
        self._life = life
        self._overlap = overlap
        self._clock = clock
        self._lock = asyncio.Lock()
        self._ring: Keyring | None = None
        self._version = _ABSENT
        self._overtaken = False
        self.trouble = ""
        """Why nothing can be signed, "" where it can."""

    @property
    def bundle(self) -> str:
        """Certificates of all authorities to trust, PEM; "" before the first look."""
        return self._ring.bundle if self._ring else ""

    @property
    def ids(self) -> frozenset[str]:
        """Identifiers of all authorities to trust."""
        return self._ring.ids if self._ring else frozenset()

    async def sign(self, subject: Subject, life: float) -> Signed:
        """Make a certificate that lives for `life` seconds, or until its authority ends.

        Raises:
            ApiError: the authority can't be read or written.
            KeyringBroken: its Secret is not as the operator left it.
        """
        async with self._lock:
            ring = self._ring if self._ring and not self._overtaken else await self._look()
            now = self._clock()
            ends = min(now + life, ring.authorities.signing.ends)
            promised = keyring.promise(ring, now, ends)
            if promised is not ring:
                ring = await self._write(promised)
        pair = certificates.sign(ring.signing, subject, now, ends - now)
        return Signed(pair, ring.signing.certificate.decode())

    async def look(self) -> float:
        """Take in what the Secret holds, make it where it is absent, and do what is due.

        Returns:
            Seconds until something is due.

        Raises:
            ApiError: it can't be read or written.
            KeyringBroken: it is not as the operator left it.
        """
        async with self._lock:
            ring = await self._look()
        return max(rotation.next_time(ring.authorities, self._overlap) - self._clock(), 0.0)

    async def tend(self, changed: Callable[[], None]) -> None:
        """Look whenever something is due, and now and then; `changed` is told when other authorities are trusted."""
        told = self.bundle
        while True:
            try:
                wait, self.trouble = await self.look(), ""
            except (ApiError, KeyringBroken) as error:
                _log.warning("The certificate authority can't be used", error=str(error))
                wait, self.trouble = _RETRY_SECONDS, str(error)
            if self.bundle != told:
                told = self.bundle
                _log.info("Other certificate authorities are trusted", authorities=sorted(self.ids))
                changed()
            await asyncio.sleep(min(wait, _LOOK_SECONDS))

    async def _look(self) -> Keyring:
        try:
            body = await self._kube.get(SECRETS, self._namespace, self._secret)
        except NotFound:
            self._version = _ABSENT
            return await self._write(keyring.new(self._clock(), self._life))
        self._version = body["metadata"]["resourceVersion"]
        ring = keyring.read(body)
        now = self._clock()
        asked = (body["metadata"].get("annotations") or {}).get(keyring.ROTATE, "")
        advanced = keyring.rotate(ring, now, life=self._life, asked=asked) if asked else ring
        advanced = keyring.advance(advanced, now, life=self._life, overlap=self._overlap)
        if advanced is not ring:
            return await self._write(advanced)
        self._ring, self._overtaken = ring, False
        return ring

    async def _write(self, ring: Keyring) -> Keyring:
        """Nothing is signed, and nobody told, before it is kept."""
        manifest = keyring.manifest(ring, self._namespace, self._secret, self._version)
        try:
            answer = await self._kube.apply(SECRETS, self._namespace, self._secret, json.dumps(manifest).encode())
        except Conflict:
            self._overtaken = True
            raise
        self._version = answer["metadata"]["resourceVersion"]
        self._ring, self._overtaken = ring, False
        return ring
