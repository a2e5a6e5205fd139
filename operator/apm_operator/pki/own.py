"""The operator's own certificate and that of whoever scrapes the agents' metrics: Secrets of its namespace."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from agent_runtime.spec.identity import OPERATOR_URI, SCRAPER_URI
from apm_operator.errors import ApiError, NotFound
from apm_operator.kinds import FIELD_MANAGER, MANAGED_BY_LABEL, SECRETS
from apm_operator.pki import holding
from apm_operator.pki.certificates import Subject
from apm_operator.pki.holding import Wanted
from apm_operator.pki.keyring import KeyringBroken

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.pki.foreign import Signers
    from apm_operator.pki.issuer import Issuer

_LIFE_SECONDS = 90 * 86_400.0
_LOOK_SECONDS = 60.0
_GATHER_SECONDS = 1.0
_RETRY_SECONDS = 2.0

SIGNERS = "signers.json"
"""Key of the operator's own Secret: who but the operator signs for which agent."""

_log = structlog.stdlib.get_logger(__name__)


def operator_secret(name: str) -> str:
    """Name of the Secret with the operator's own certificate."""
    return f"{name}-tls"


def scraper_secret(name: str) -> str:
    """Name of the Secret with the certificate that lets a scraper read the agents' metrics."""
    return f"{name.removesuffix('-operator')}-scraper-tls"


class OwnCertificates:
    """Keeps both; each Secret's `ca.crt` holds all authorities to trust, so that it is all that its user needs.

    Args:
        kube: the Kubernetes API.
        issuer: the operator's authority.
        namespace: the operator's.
        name: of the installation.
        hosts: the names under which the operator is reached.
        signers: other authorities of agents; those who ask about tokens may have a certificate of one.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        kube: Kube,
        issuer: Issuer,
        *,
        namespace: str,
        name: str,
        hosts: tuple[str, ...],
        signers: Signers,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._kube = kube
        self._issuer = issuer
        self._namespace = namespace
        self._clock = clock
        self._wanted = {
            operator_secret(name): Wanted(Subject(OPERATOR_URI, hosts), _LIFE_SECONDS),
            scraper_secret(name): Wanted(Subject(SCRAPER_URI), _LIFE_SECONDS),
        }
        self._again = asyncio.Event()
        self._signers = signers
        self._restored = False
        self._telling = operator_secret(name)

    def look_again(self) -> None:
        """Other authorities are trusted, or sign."""
        self._again.set()

    async def tend(self) -> None:
        """Keep both for ever."""
        while True:
            self._again.clear()
            wait = _LOOK_SECONDS
            try:
                for name, wanted in self._wanted.items():
                    await self.keep(name, wanted)
            except (ApiError, KeyringBroken) as error:
                _log.warning("The operator's own certificates could not be kept", error=str(error))
                wait = _RETRY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._again.wait()
                await asyncio.sleep(_GATHER_SECONDS)  # many agents are told of at once

    async def keep(self, name: str, wanted: Wanted) -> None:
        """Have one of the Secrets hold what it should.

        Raises:
            ApiError: it can't be read or written.
            KeyringBroken: nothing can be signed.
        """
        try:
            body: Mapping[str, Any] = await self._kube.get(SECRETS, self._namespace, name)
        except NotFound:
            body = {"metadata": {}}
        held = holding.examine(body, wanted, self._issuer.ids, self._clock())
        others = self._others(name, body)
        good = not held.lacking and held.authority == self._issuer.bundle
        if good and others.items() <= (body.get("data") or {}).items():
            return
        pair = holding.pair(body) if good else (await self._issuer.sign(wanted.subject, wanted.life)).pair
        manifest = {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.kind,
            "metadata": {
                "name": name,
                "namespace": self._namespace,
                "labels": {MANAGED_BY_LABEL: FIELD_MANAGER, "app.kubernetes.io/part-of": "apm"},
                "annotations": holding.marks(wanted),
            },
            **holding.content(pair, self._issuer.bundle),
        }
        manifest["data"] |= others
        await self._kube.apply(SECRETS, self._namespace, name, json.dumps(manifest).encode())
        if not good:
            _log.info("issued a certificate", secret=name, why=held.lacking or "other authorities are trusted")

    def _others(self, name: str, body: Mapping[str, Any]) -> dict[str, str]:
        """What is told beside the certificate, as the Secret has it."""
        if name != self._telling:
            return {}
        if not self._restored:
            with suppress(ValueError):
                self._signers.restore(base64.b64decode((body.get("data") or {}).get(SIGNERS, "")).decode())
            self._restored = True
        return {SIGNERS: base64.b64encode(self._signers.text().encode()).decode()}
