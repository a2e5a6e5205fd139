"""The connection to Redis or Valkey, which nothing waits for when it is away."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from agent_runtime.errors import AgentError, UnavailableError
from agent_runtime.resilience.redis_password import Password

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from agent_runtime.spec.redis import RedisSpec

log = structlog.get_logger()

_TIMEOUT = 1.0
_CONNECT_TIMEOUT = 1.0
_PAUSE = 2.0
"""Seconds for which nobody tries again after a failure."""
_CONNECTIONS = 16


class RedisConnection:
    """One client, made at first use; after a failure nobody asks for a while."""

    def __init__(
        self,
        spec: RedisSpec,
        secrets_dir: Path,
        password: Callable[[], str] | None,
        on_change: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`password` is asked for at each new connection; `on_change` hears whether Redis could be used."""
        self._spec = spec
        self._secrets_dir = secrets_dir
        self._password = password
        self._on_change = on_change
        self._client: Redis | None = None
        self._up = True
        self._next_try = 0.0

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Redis]:
        """The client.

        Raises:
            UnavailableError: Redis can't be used, or could not a moment ago; for errors inside of the context as well.
        """
        if time.monotonic() < self._next_try:
            raise UnavailableError("Redis can't be used: it could not be reached a moment ago")
        try:
            if self._client is None:
                self._client = self._make()
            yield self._client
        except (RedisError, OSError, AgentError) as error:
            self._next_try = time.monotonic() + _PAUSE
            self._changed(up=False, error=error)
            raise UnavailableError(f"Redis can't be used: {type(error).__name__}") from error
        self._changed(up=True)

    async def close(self) -> None:
        """Gives up the connections."""
        if self._client is not None:
            await self._client.aclose()

    def _changed(self, *, up: bool, error: Exception | None = None) -> None:
        if up != self._up:
            if up:
                log.info("Redis is back")
            else:
                log.warning("Redis can't be used", kind=type(error).__name__, quoted=str(error))
        self._up = up
        self._on_change(up)

    def _make(self) -> Redis:
        options: dict[str, Any] = {}
        if self._spec.tls is not None:
            authorities = self._spec.tls.ca_secret_ref.path(self._secrets_dir)
            options = {
                "connection_class": SSLConnection,
                "ssl_ca_certs": str(authorities),
                "ssl_cert_reqs": "required",
                "ssl_check_hostname": True,
            }
        if self._password is not None:
            options["credential_provider"] = Password(self._password)
        pool = BlockingConnectionPool(
            host=self._spec.host,
            port=self._spec.port,
            max_connections=_CONNECTIONS,
            timeout=_TIMEOUT,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_CONNECT_TIMEOUT,
            # Once more at once, for a connection that the server has closed while it was idle.
            retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
            **options,
        )
        return Redis.from_pool(pool)
