"""Callers with the token of a ServiceAccount, which the operator has the API server review."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_runtime import outbound
from agent_runtime.auth.claims import claimed
from agent_runtime.auth.principal import Principal
from agent_runtime.errors import CallError, ForbiddenError, UnavailableError

if TYPE_CHECKING:
    import httpx

    from agent_runtime.spec.auth import ServiceAccountsSpec

_KEPT = 60.0
"""Seconds for which a good answer counts, if the token does not end sooner."""
_REFUSAL_KEPT = 10.0
_MOST = 1024
_AT_ONCE = 4
_TIMEOUT = 5.0
_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True)
class _Review:
    user: str
    until: float
    """On the monotonic clock."""


class ServiceAccounts:
    """Asks the operator, and keeps its answers for a while by the token's SHA-256."""

    def __init__(self, spec: ServiceAccountsSpec, url: str, http: httpx.AsyncClient) -> None:
        self._spec = spec
        self._url = url
        self._http = http
        self._known: OrderedDict[bytes, _Review] = OrderedDict()
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def principal(self, token: str) -> Principal | None:
        """The ServiceAccount whose token it is; None if it is no valid one.

        Raises:
            ForbiddenError: It may not call this agent.
            UnavailableError: The operator can't be asked.
        """
        meant_for = claimed(token).get("aud")
        if self._spec.audience not in (meant_for if isinstance(meant_for, list) else [meant_for]):
            return None  # it may open something else, and is shown to nobody
        user = (await self._review(token)).user
        namespace, colon, name = user.removeprefix(_PREFIX).partition(":")
        if not user.startswith(_PREFIX) or not colon:
            return None
        if not {f"{namespace}/{name}", f"{namespace}/*"}.intersection(self._spec.allow):
            raise ForbiddenError(
                f"ServiceAccount {namespace}/{name} may not call this agent: add it to `auth.serviceAccounts.allow`"
            )
        return Principal(f"{namespace}/{name}", "", "serviceAccount")

    async def _review(self, token: str) -> _Review:
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        if known := self._current(digest):
            return known
        async with self._gate:
            if known := self._current(digest):
                return known
            made = self._known[digest] = await self._ask(token)
            self._known.move_to_end(digest)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
            return made

    def _current(self, digest: bytes) -> _Review | None:
        known = self._known.get(digest)
        return known if known and known.until > time.monotonic() else None

    async def _ask(self, token: str) -> _Review:
        body = {"token": token, "audience": self._spec.audience}
        try:
            answer = json.loads(
                await outbound.request(
                    self._http, "POST", self._url, what="the operator", timeout=_TIMEOUT, headers={}, body=body
                )
            )
            if answer["authenticated"] is not True:
                return _Review("", time.monotonic() + _REFUSAL_KEPT)
            left = float(answer["expires"]) - time.time()
            return _Review(str(answer["user"]), time.monotonic() + min(left, _KEPT))
        except CallError as error:
            raise UnavailableError(f"the token can't be reviewed: {error}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise UnavailableError("the token can't be reviewed: the operator's answer is none") from error
