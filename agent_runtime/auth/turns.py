from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agent_runtime.errors import TooManyRequestsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Turns:
    """Lets a few in at a time. Of those who wait, each source gets in by turns, however many wait of another one."""

    def __init__(self, at_once: int, most: int) -> None:
        """`most` of one source may wait."""
        self._free = at_once
        self._most = most
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, source: str) -> AsyncIterator[None]:
        """Waits for a turn, and has it for the length of the block.

        Raises:
            TooManyRequestsError: Too many of this source wait already.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(source)
        try:
            yield
        finally:
            self._next()

    async def _wait(self, source: str) -> None:
        queue = self._waiting.setdefault(source, deque())
        if len(queue) >= self._most:
            message = "too many tokens from your address wait for their review: try again"
            raise TooManyRequestsError(message, retry_after=1)
        mine = asyncio.get_running_loop().create_future()
        queue.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._next()
            raise

    def _next(self) -> None:
        while self._waiting:
            source, queue = self._waiting.popitem(last=False)
            mine = queue.popleft()
            if queue:
                self._waiting[source] = queue
            if not mine.done():
                mine.set_result(None)
                return
        self._free += 1
