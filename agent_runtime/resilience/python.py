"""Rate limits for code of one's own."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import structlog

from agent_runtime.errors import AgentError
from agent_runtime.resilience.memory_windows import MemoryWindows
from agent_runtime.resilience.settings import RedisPlace, from_environment
from agent_runtime.resilience.windows import Level, Quota, RateLimitResult, Window

if TYPE_CHECKING:
    from agent_runtime.resilience.redis_windows import BlockingRedisWindows

log = structlog.get_logger()

_TIMEOUT = 1.0
_PAUSE = 2.0
"""Seconds for which nobody asks Redis after it failed."""
_of_the_process: list[RedisPlace] = []


@dataclass(frozen=True, slots=True)
class RateLimitConfig:
    """How many requests are allowed, for each account, each agent and each user."""

    requests_per_minute: int = 60
    requests_per_hour: int = 1000
    requests_per_day: int = 10000
    burst_size: int = 10
    """Within one second."""

    @property
    def windows(self) -> tuple[Window, ...]:
        """As windows."""
        return (
            Window("burst", self.burst_size, 1),
            Window("minute", self.requests_per_minute, 60),
            Window("hour", self.requests_per_hour, 3600),
            Window("day", self.requests_per_day, 86400),
        )


class RateLimiter:
    """Counts in Redis where there is one; else, or while it is away, in the process's memory. Any thread may ask."""

    def __init__(self, config: RateLimitConfig | None = None, place: RedisPlace | None = None) -> None:
        self._windows = (config or RateLimitConfig()).windows
        # Limiters that allow differently count apart.
        self._place = f"python|{config or RateLimitConfig()}"
        self._local = MemoryWindows()
        self._shared = _shared(place) if place is not None else None
        self._next_try = 0.0
        self._lock = Lock()

    @property
    def blocks(self) -> bool:
        """Whether it waits for a network."""
        return self._shared is not None

    def check_account_limit(self, account_id: str) -> RateLimitResult:
        """Counts a request of an account if it is allowed."""
        return self._check("account", account_id)

    def check_agent_limit(self, agent_id: str) -> RateLimitResult:
        """Counts a request to an agent if it is allowed."""
        return self._check("agent", agent_id)

    def check_user_limit(self, user_id: str) -> RateLimitResult:
        """Counts a request of a person if it is allowed."""
        return self._check("user", user_id)

    def _check(self, level: Level, who: str) -> RateLimitResult:
        quotas = [Quota.of(level, self._place, who, self._windows)]
        if self._shared is not None and time.monotonic() >= self._next_try:
            from redis.exceptions import RedisError  # noqa: PLC0415 - only what is used is loaded

            try:
                return self._shared.take(quotas)
            except (RedisError, OSError, AgentError) as error:
                with self._lock:
                    self._next_try = time.monotonic() + _PAUSE
                log.warning("Redis can't be used; counting in memory", kind=type(error).__name__)
        return self._local.take(quotas)


class AsyncRateLimiter:
    """The same for asynchronous code, whose event loop goes on meanwhile."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    async def check_account_limit(self, account_id: str) -> RateLimitResult:
        """Counts a request of an account if it is allowed."""
        return await self._aside(self._limiter.check_account_limit, account_id)

    async def check_agent_limit(self, agent_id: str) -> RateLimitResult:
        """Counts a request to an agent if it is allowed."""
        return await self._aside(self._limiter.check_agent_limit, agent_id)

    async def check_user_limit(self, user_id: str) -> RateLimitResult:
        """Counts a request of a person if it is allowed."""
        return await self._aside(self._limiter.check_user_limit, user_id)

    async def _aside(self, check: Any, who: str) -> RateLimitResult:
        result: RateLimitResult = await asyncio.to_thread(check, who) if self._limiter.blocks else check(who)
        return result


def configure(place: RedisPlace | None) -> None:
    """Says which Redis this process uses instead of the one that the environment names."""
    _of_the_process[:] = [] if place is None else [place]
    get_rate_limiter.cache_clear()
    get_async_rate_limiter.cache_clear()


@cache
def get_rate_limiter(config: RateLimitConfig | None = None) -> RateLimiter:
    """The limiter of this process, one for each config: on the agent's `redis`, else on `REDIS_HOST`, else in memory.

    Raises:
        ConfigError: `REDIS_PORT` is no port.
    """
    return RateLimiter(config, _of_the_process[0] if _of_the_process else from_environment())


@cache
def get_async_rate_limiter(config: RateLimitConfig | None = None) -> AsyncRateLimiter:
    """As `get_rate_limiter`, for asynchronous code; both count together."""
    return AsyncRateLimiter(get_rate_limiter(config))


def _shared(place: RedisPlace) -> BlockingRedisWindows:
    from redis import Redis  # noqa: PLC0415 - only what is used is loaded
    from redis.backoff import NoBackoff  # noqa: PLC0415 - likewise
    from redis.retry import Retry  # noqa: PLC0415 - likewise

    from agent_runtime.resilience.redis_password import Password  # noqa: PLC0415 - likewise
    from agent_runtime.resilience.redis_windows import BlockingRedisWindows  # noqa: PLC0415 - likewise

    options: dict[str, Any] = {}
    if place.authorities is not None:
        options = {"ssl": True, "ssl_ca_certs": str(place.authorities), "ssl_check_hostname": True}
    if place.password is not None:
        options["credential_provider"] = Password(place.password)
    client = Redis(
        host=place.host,
        port=place.port,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        retry=Retry(NoBackoff(), 1),
        **options,
    )
    return BlockingRedisWindows(client, place.scope)
