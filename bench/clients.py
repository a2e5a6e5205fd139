"""Clients that run `bench.chain` at a server, and what they see."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass, field

import aiohttp

from bench.chain import NODES

_BODY = {"assistant_id": "agent", "input": {"count": 0}}


@dataclass
class Seen:
    """What clients saw of some runs, in seconds."""

    runs: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    first_nodes: list[float] = field(default_factory=list)
    """From the request to the begin of the first node."""

    @property
    def runs_per_second(self) -> float:
        """Over all clients."""
        return self.runs / self.seconds


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return round(cuts[49] * 1000, 1), round(cuts[98] * 1000, 1)


async def closed(url: str, runs: int, clients: int) -> Seen:
    """So many clients, each of which makes its next run when the one before has ended."""
    seen = Seen(runs)
    numbers = iter(range(runs))
    async with _session(url) as session:

        async def client() -> None:
            for _ in numbers:
                await _run(session, seen)

        begin = time.monotonic()
        await asyncio.gather(*(client() for _ in range(clients)))
        seen.seconds = time.monotonic() - begin
    return seen


async def opened(url: str, per_second: float, seconds: float) -> Seen:
    """So many runs each second, whether those before have ended or not."""
    seen = Seen(max(2, int(per_second * seconds)))
    async with _session(url) as session:
        begin = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(seen.runs):
                await asyncio.sleep(max(0.0, begin + number / per_second - time.monotonic()))
                tasks.create_task(_run(session, seen))
        seen.seconds = time.monotonic() - begin
    return seen


def _session(url: str) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(120), trust_env=False)


async def _run(session: aiohttp.ClientSession, seen: Seen) -> None:
    begin = time.monotonic()
    async with session.post("/runs/wait", json=_BODY) as response:
        response.raise_for_status()
        values = await response.json()
    seen.latencies.append(time.monotonic() - begin)
    if values.get("count") != NODES:
        raise SystemExit(f"a run failed: {values}")
    seen.first_nodes.append(values["begun"] - begin)
