"""Callers of shared windows, to be run in processes of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent_runtime.resilience.redis_connection import RedisConnection
from agent_runtime.resilience.redis_windows import RedisWindows
from agent_runtime.resilience.windows import Quota, Window
from agent_runtime.spec.redis import RedisSpec


def quota(key: str, limit: int, seconds: int = 60) -> Quota:
    """A quota with one window."""
    return Quota("account", key, (Window("window", limit, seconds),))


def take(port: int, password: str, limit: int, calls: int, callers: int) -> int:
    """Makes `calls` from each of `callers` tasks; tells how many were allowed."""

    async def all_of_them() -> int:
        connection = RedisConnection(RedisSpec(host="127.0.0.1", port=port), Path("/nonexistent"), lambda: password)
        windows = RedisWindows(connection, "tests/shared")

        async def caller() -> int:
            return sum([(await windows.take([quota("hot", limit)])).allowed for _ in range(calls)])

        try:
            return sum(await asyncio.gather(*(caller() for _ in range(callers))))
        finally:
            await connection.close()

    return asyncio.run(all_of_them())
