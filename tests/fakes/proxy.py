"""A TCP connection that can be cut."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator


class Proxy:
    """Passes bytes between a loopback port and a server, until it is cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._whole = True
        self.port = 0

    async def cut(self) -> None:
        """Ends all connections, and takes no new ones."""
        self._whole = False
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def mend(self) -> None:
        """Takes connections again."""
        self._whole = True

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        task = asyncio.current_task()
        if not self._whole or task is None:
            writer.close()
            return
        self._tasks.add(task)
        there: asyncio.StreamWriter | None = None
        try:
            back, there = await asyncio.open_connection(*self._target)
            await asyncio.gather(_copy(reader, there), _copy(back, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in (writer, there):
                if end is not None:
                    end.close()
                    with suppress(OSError):
                        await end.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def proxy(host: str, port: int, context: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy on a free loopback port, that speaks TLS to its clients if there is a context."""
    it = Proxy(host, port)
    server = await asyncio.start_server(it.accept, "127.0.0.1", 0, ssl=context)
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        server.close()
        await it.cut()
        await server.wait_closed()
