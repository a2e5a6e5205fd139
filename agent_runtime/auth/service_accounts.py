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
from agent_runtime.auth.turns import Turns
from agent_runtime.errors import CallError, ForbiddenError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import httpx

    from agent_runtime.spec.auth import ServiceAccountsSpec

_KEPT = 60.0
"""Seconds for which a good answer counts, if the token does not end sooner."""
_REFUSAL_KEPT = 10.0
_MOST = 1024
"""Answers of each kind that are kept."""
_AT_ONCE = 4
_MOST_WAITING = 32
"""Tokens from one address."""
_TIMEOUT = 5.0
_LEEWAY = 30.0
"""Seconds that clocks may differ."""
_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True)
class _Review:
    user: str
    until: float
    """On the monotonic clock."""


class ServiceAccounts:
    """Asks the operator, and keeps its answers for a while by the token's SHA-256.

    Anybody may send tokens, so those that can't be good whoever they are of are not asked for, and the others wait by
    address: who sends many keeps nobody else's out.
    """

    def __init__(self, spec: ServiceAccountsSpec, url: str, http: httpx.AsyncClient) -> None:
        self._spec = spec
        self._url = url
        self._http = http
        self._good: OrderedDict[bytes, _Review] = OrderedDict()
        self._refused: OrderedDict[bytes, _Review] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[_Review]] = {}
        self._turns = Turns(_AT_ONCE, _MOST_WAITING)

    async def principal(self, token: str, address: str = "") -> Principal | None:
        """The ServiceAccount whose token it is; None if it is no valid one.

        Raises:
            ForbiddenError: It may not call this agent.
            UnavailableError: The operator can't be asked.
            TooManyRequestsError: Too many tokens from this address wait for their review.
        """
        if not self._may_be_good(claimed(token)):
            return None  # it may open something else, and is shown to nobody
        # Whose it says to be decides nothing before: 401 and 403 would tell who is on the list to anybody who asks.
        account = _account((await self._review(token, address)).user)
        if account is None:
            return None
        self._check_allowed(account)
        return Principal(account, "", "serviceAccount")

    def _may_be_good(self, claims: Mapping[str, Any]) -> bool:
        meant_for, ends = claims.get("aud"), claims.get("exp")
        return (
            self._spec.audience in (meant_for if isinstance(meant_for, list) else [meant_for])
            and isinstance(ends, int | float)
            and ends > time.time() - _LEEWAY
            and _account(claims.get("sub")) is not None
        )

    def _check_allowed(self, account: str | None) -> None:
        namespace, _, _ = (account or "").partition("/")
        if not {account, f"{namespace}/*"}.intersection(self._spec.allow):
            raise ForbiddenError(
                f"ServiceAccount {account} may not call this agent: add it to `auth.serviceAccounts.allow`"
            )

    async def _review(self, token: str, address: str) -> _Review:
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        for kept in (self._good, self._refused):
            if (known := kept.get(digest)) and known.until > time.monotonic():
                return known
        asking = self._asking.get(digest)
        if asking is None:
            # A token that was good before waits for no other one.
            source = digest.hex() if digest in self._good else address
            asking = self._asking[digest] = asyncio.create_task(self._ask_in_turn(token, digest, source))
            asking.add_done_callback(lambda task: self._asked(digest, task))
        return await asyncio.shield(asking)

    def _asked(self, digest: bytes, task: asyncio.Task[_Review]) -> None:
        del self._asking[digest]
        if not task.cancelled():
            task.exception()  # whoever waited may be gone, and asyncio would complain

    async def _ask_in_turn(self, token: str, digest: bytes, source: str) -> _Review:
        async with self._turns.turn(source):
            made = await self._ask(token)
        kept, other = (self._good, self._refused) if made.user else (self._refused, self._good)
        other.pop(digest, None)
        kept[digest] = made
        kept.move_to_end(digest)
        if len(kept) > _MOST:
            kept.popitem(last=False)
        return made

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


def _account(user: Any) -> str | None:
    """As `namespace/name`; None if the user is no ServiceAccount."""
    if not isinstance(user, str) or not user.startswith(_PREFIX):
        return None
    namespace, _, name = user.removeprefix(_PREFIX).partition(":")
    return f"{namespace}/{name}" if namespace and name else None
