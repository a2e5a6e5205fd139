"""The watches' echoes of this process's own writes.

The answer to a write holds the object as a watch will tell it. To read it a second time, through JSON and kopf, costs
more than the write itself, so the event is dropped by its bytes.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION = re.compile(rb'"resourceVersion":"(\d+)"')
"""A quote inside of a string is escaped, and what a user can name so comes after an object's own version or is no
version of one of our writes: the API server gives each write of a cluster another one."""
_CHANGES = (b'{"type":"ADDED"', b'{"type":"MODIFIED"')
_LIMIT = 4096
"""Echoes waited for: one that a watch has missed never comes."""
_PATIENCE_SECONDS = 0.1


class Echoes:
    """Versions of objects as we have written them, until a watch tells of them."""

    def __init__(self) -> None:
        self._expected: OrderedDict[bytes, None] = OrderedDict()
        self._begun = 0
        self._under_way: dict[int, None] = {}
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def __len__(self) -> int:
        return len(self._expected)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A write is under way until its answer has been taken in."""
        self._begun += 1
        number = self._begun
        self._under_way[number] = None
        try:
            yield
        finally:
            del self._under_way[number]
            oldest = next(iter(self._under_way), self._begun + 1)
            while self._waiting and self._waiting[0][0] < oldest:
                _let_go(self._waiting.popleft()[1])

    async def answers(self) -> None:
        """Wait for the answers to the writes that are under way, 100 ms at most.

        A third of the echoes are faster than the answer to their write, by some milliseconds.
        """
        if not self._under_way:
            return
        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        self._waiting.append((self._begun, answered))
        timer = loop.call_later(_PATIENCE_SECONDS, _let_go, answered)
        try:
            await answered
        finally:
            timer.cancel()

    def expect(self, version: str) -> None:
        """A write was answered with this version, and a watch will tell of it."""
        self._expected[version.encode()] = None
        if len(self._expected) > _LIMIT:
            self._expected.popitem(last=False)

    def take(self, line: bytes) -> bool:
        """Whether a watch event, as JSON, is an echo; each is one once."""
        if not self._expected or not line.startswith(_CHANGES):
            return False
        found = _VERSION.search(line)
        return found is not None and self._expected.pop(found[1], self) is None


def _let_go(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
