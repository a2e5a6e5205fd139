"""The way to the agent's own pods."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

CHUNK = 16 * 1024
"""Bytes that are read at once; a reader stops at twice as many, a writer at as many."""
_PAUSE_SECONDS = 0.2
_ATTEMPT_SECONDS = 2.0


class Stream(NamedTuple):
    """The two ends of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Upstream:
    """The Service that selects the agent's pods: it refuses while none is ready."""

    def __init__(self, host: str, port: int, *, pause: float = _PAUSE_SECONDS) -> None:
        self._host = host
        self._port = port
        self._pause = pause
        self._looking = asyncio.Lock()

    async def dial(self) -> Stream | None:
        """A connection, where a pod is ready."""
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                reader, writer = await asyncio.open_connection(self._host, self._port, limit=CHUNK)
        except OSError:  # a time-out and a name that is not found are such, too
            return None
        return Stream(reader, writer)

    async def awake(self) -> Stream:
        """A connection, as soon as a pod is ready. However many wait, one of them looks."""
        async with self._looking:
            while True:
                if (stream := await self.dial()) is not None:
                    return stream
                await asyncio.sleep(self._pause)
