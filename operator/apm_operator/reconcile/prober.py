"""Asks a pod that is not ready for the reason."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import aiohttp

from apm_operator.manifests.agent import PORT, TLS_PORT
from apm_operator.pki.peer import PeerContext
from apm_operator.reconcile.facts import PodFacts, scrub

_TIMEOUT = aiohttp.ClientTimeout(total=1.5)
_PODS_ASKED = 3
_BODY_LIMIT = 8192
_MESSAGE_LIMIT = 300
_STARTING_SECONDS = 5.0
"""A pod that has just started is not ready for good reasons."""


@dataclass(frozen=True, slots=True)
class Proof:
    """By what the pods of an agent are known.

    Attributes:
        host: a name in their certificate that no other agent's has.
        uri: the one URI in it, which says which agent it is.
        authorities: certificates of those who may have signed it, PEM.
    """

    host: str
    uri: str
    authorities: str


class Prober(Protocol):
    """Finds out why pods are not ready."""

    async def reasons(self, pods: Mapping[str, PodFacts], proof: Proof | None) -> dict[str, str]:
        """What each pod that runs and is not ready says about itself; one that does not answer is left out.

        Args:
            pods: by name.
            proof: by what the pods are known; None where they speak plain HTTP.
        """


class HttpProber:
    """Reads `/readyz` of the pods' own addresses."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def reasons(self, pods: Mapping[str, PodFacts], proof: Proof | None) -> dict[str, str]:
        """See Prober."""
        asked = [name for name, pod in sorted(pods.items()) if self._is_late(pod)][:_PODS_ASKED]
        if not asked:
            return {}
        answers = await asyncio.gather(*(self._ask(pods[name].ip, proof) for name in asked))
        return {name: answer for name, answer in zip(asked, answers, strict=True) if answer}

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _is_late(self, pod: PodFacts) -> bool:
        unready = pod.running and not pod.ready and not pod.deleting and bool(pod.ip)
        return unready and self._clock() - pod.since > _STARTING_SECONDS

    async def _ask(self, address: str, proof: Proof | None) -> str:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False)
        host = f"[{address}]" if ":" in address else address
        url, verify = (f"http://{host}:{PORT}", None) if proof is None else (f"https://{host}:{TLS_PORT}", proof.host)
        context = True if proof is None else _context(proof)
        try:
            async with self._session.get(
                f"{url}/readyz", allow_redirects=False, ssl=context, server_hostname=verify
            ) as response:
                if response.status == 200:  # noqa: PLR2004  OK
                    return ""
                raw = await response.content.read(_BODY_LIMIT)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return ""
        return failed_checks(raw)


@lru_cache(maxsize=64)
def _context(proof: Proof) -> ssl.SSLContext:
    """One for each agent: a connection to one is never used for another that has got its address."""
    return PeerContext(ssl.PROTOCOL_TLS_CLIENT, proof.uri, proof.authorities)


def failed_checks(raw: bytes) -> str:
    """The checks that a `/readyz` body says have failed, with their messages; "" where it is no such body."""
    try:
        checks = json.loads(raw).get("checks", {})
        failed: Iterable[tuple[str, str]] = [
            (name, str(check.get("message", ""))) for name, check in checks.items() if not check.get("ok")
        ]
    except (ValueError, AttributeError):
        return ""
    return "; ".join(f"{name}: {scrub(message)[:_MESSAGE_LIMIT]}" for name, message in failed)
