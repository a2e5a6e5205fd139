"""A pod that can be there or not, and an activator before it; all of them on this machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from apm_operator.activator.counts import Counts
from apm_operator.activator.relay import Relay
from apm_operator.activator.settings import Settings
from apm_operator.activator.upstream import CHUNK, Stream, Upstream

HERE = "127.0.0.1"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give back what comes, and end when the client does."""
    with suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


def free_port() -> int:
    """One that refuses connections."""
    with socket.socket() as found:
        found.bind((HERE, 0))
        return int(found.getsockname()[1])


@dataclass
class Pod:
    """The Service of an agent's own pods."""

    port: int = field(default_factory=free_port)
    server: asyncio.Server | None = None

    async def start(self, serve: Serve = echo) -> None:
        """A pod is ready."""
        self.server = await asyncio.start_server(serve, HERE, self.port)


@dataclass
class Door:
    """An activator's relay behind a port."""

    port: int
    counts: Counts
    tasks: set[asyncio.Task[None]]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client's connection."""
        return await asyncio.open_connection(HERE, self.port)

    async def until(self, holds: Callable[[Counts], bool]) -> None:
        """Look until the counts are so; the test's own time limit ends it."""
        async with asyncio.timeout(20):
            while not holds(self.counts):  # noqa: ASYNC110  a count tells nobody
                await asyncio.sleep(0.005)


@asynccontextmanager
async def door(pod: Pod, **settings: float) -> AsyncIterator[Door]:
    """A relay to a pod; at its end nothing of it is left."""
    counts = Counts()
    chosen = Settings(host=HERE, upstream_port=pod.port, port=0, **settings)  # type: ignore[arg-type]
    relay = Relay(Upstream(HERE, pod.port, pause=0.01), counts, chosen)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(relay.serve(Stream(reader, writer))))

    server = await asyncio.start_server(accept, HERE, 0, limit=CHUNK)
    try:
        yield Door(server.sockets[0].getsockname()[1], counts, tasks)
    finally:
        server.close()
        if pod.server is not None:
            pod.server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def sample(counts: Counts, name: str) -> int:
    """A value of the exposition; `name` with its labels."""
    found = [line for line in counts.exposition().splitlines() if line.startswith(f"{name} ")]
    return int(found[0].rpartition(" ")[2])
