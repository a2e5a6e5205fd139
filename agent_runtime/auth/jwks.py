"""The keys of an identity provider (RFC 7517)."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import structlog

from agent_runtime import outbound
from agent_runtime.errors import CallError, UnavailableError

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger()

ALGORITHMS = ("RS256", "ES256", "EdDSA")

_FRESH = 600.0
"""Seconds after which the keys are asked for again, so that one that was withdrawn stops to count."""
_KEPT = 3600.0
"""Seconds for which they count if the issuer can't be reached."""
_PAUSE = 30.0
"""Seconds between two requests, however many unknown keys tokens name."""
_FAILED_PAUSE = 5.0
_TIMEOUT = 5.0
_MOST = 100


class KeySet:
    """The keys at one address, asked for when a token needs them."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http
        self._keys: list[jwt.PyJWK] = []
        self._fetched = self._asked = float("-inf")
        self._lock = asyncio.Lock()

    async def candidates(self, kid: str | None, algorithm: str) -> list[jwt.PyJWK]:
        """The key that a token's header names, if there is one; without a name, the only one of its algorithm.

        Raises:
            UnavailableError: There are no keys, and the issuer does not give any.
        """
        found = self._find(kid, algorithm)
        if not found or time.monotonic() - self._fetched > _FRESH:
            await self._fetch()
            found = self._find(kid, algorithm)
        if time.monotonic() - self._fetched > _KEPT:
            raise UnavailableError("the keys of the token's issuer can't be had", retry_after=int(_FAILED_PAUSE))
        return found

    def _find(self, kid: str | None, algorithm: str) -> list[jwt.PyJWK]:
        fitting = [key for key in self._keys if key.algorithm_name == algorithm]
        if kid is None:
            return fitting if len(fitting) == 1 else []
        return [key for key in fitting if key.key_id == kid][:1]

    async def _fetch(self) -> None:
        async with self._lock:
            pause = _PAUSE if self._fetched >= self._asked else _FAILED_PAUSE
            if time.monotonic() - self._asked < pause:
                return
            self._asked = time.monotonic()
            try:
                answer = await outbound.request(
                    self._http, "GET", self._url, what="the token's issuer", timeout=_TIMEOUT, headers={}
                )
                self._keys = _keys(json.loads(answer))
            except (CallError, ValueError, TypeError, KeyError, RecursionError) as error:
                reason = str(error) if isinstance(error, CallError) else "no key set"
                log.warning("the keys of an issuer can't be had", url=self._url, reason=reason)
                return
            self._fetched = time.monotonic()


def _keys(answer: Any) -> list[jwt.PyJWK]:
    """The keys that signatures may be checked with; others, of kinds that are not known here, are left out."""
    found = []
    for data in answer["keys"][:_MOST]:
        if not isinstance(data, dict) or data.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(data)
        except (jwt.PyJWTError, TypeError, ValueError):
            continue
        if key.algorithm_name in ALGORITHMS:
            found.append(key)
    return found
