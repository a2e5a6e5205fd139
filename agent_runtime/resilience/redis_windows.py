"""Windows that all replicas share, in Redis or Valkey. One script call is one decision, so it is never one too many."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from agent_runtime.resilience.windows import Quota, RateLimitResult, Usage, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis

    from agent_runtime.resilience.redis_connection import RedisConnection

TOKEN_SECONDS = 3600
"""How long a request that was counted is known by its token."""
_MICRO = 1_000_000


@dataclass(frozen=True)
class _Call:
    keys: list[str]
    arguments: list[int]


def _script() -> str:
    return files(__package__).joinpath("take.lua").read_text(encoding="utf-8")


def _call(scope: str, quotas: Sequence[Quota], token: str) -> _Call:
    keys = [f"{_prefix(scope)}limit:{quota.key}" for quota in quotas]
    arguments = [TOKEN_SECONDS * 1000 if token else 0]
    for quota in quotas:
        arguments.append(len(quota.windows))
        for window in quota.windows:
            arguments += (window.limit, window.seconds * _MICRO)
    if token:
        keys.append(_token_key(scope, token))
    return _Call(keys, arguments)


def _prefix(scope: str) -> str:
    # In braces, so that a Redis Cluster keeps all keys of an agent in one place.
    return f"apm:{{{scope}}}:"


def _token_key(scope: str, token: str) -> str:
    return f"{_prefix(scope)}counted:{sha256(token.encode()).hexdigest()[:32]}"


def _result(quotas: Sequence[Quota], answer: Sequence[int]) -> RateLimitResult:
    taken, *numbers = answer
    usages = [
        Usage(used, reset / _MICRO, wait / _MICRO)
        for used, reset, wait in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
    ]
    return judge(quotas, usages, taken=bool(taken))


class RedisWindows:
    """Counts under names that begin with `scope`."""

    def __init__(self, connection: RedisConnection, scope: str) -> None:
        self._connection = connection
        self._scope = scope
        self._script: Any = None

    async def take(self, quotas: Sequence[Quota], token: str = "") -> RateLimitResult:
        """Counts a request if all windows have room; one whose `token` was counted before is let through.

        Raises:
            UnavailableError: Redis can't be used.
        """
        call = _call(self._scope, quotas, token)
        async with self._connection.client() as client:
            if self._script is None:
                self._script = client.register_script(_script())
            answer = await self._script(call.keys, call.arguments, client=client)
        return _result(quotas, answer)

    async def forget(self, token: str) -> None:
        """Counts the next request with this token. Raises UnavailableError."""
        async with self._connection.client() as client:
            await client.delete(_token_key(self._scope, token))


class BlockingRedisWindows:
    """The same for code that is not asynchronous. Errors of the client pass through."""

    def __init__(self, client: Redis, scope: str) -> None:
        self._scope = scope
        self._script = client.register_script(_script())

    def take(self, quotas: Sequence[Quota], token: str = "") -> RateLimitResult:
        """As `RedisWindows.take`."""
        call = _call(self._scope, quotas, token)
        return _result(quotas, self._script(call.keys, call.arguments))
