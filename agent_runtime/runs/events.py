"""What a run in this pod has told so far."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_runtime.state.records import Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_KEPT = 4 << 20
"""Bytes of events kept per run, for clients that come late or come back."""
_OF_AN_ATTEMPT = 1_000_000_000


class EventLog:
    """The events of one attempt at a run. Any number of readers, each from where it wants; a slow one misses some.

    Numbers grow over all attempts, without asking what an earlier one, in a pod that died, came to.
    """

    def __init__(self, attempt: int = 1) -> None:
        """`attempt` counts from 1."""
        self._events: deque[Event] = deque()
        self.size = 0
        """Bytes of the events that are kept."""
        self._last = (attempt - 1) * _OF_AN_ATTEMPT
        self.closed = False
        self._changed = asyncio.Event()

    def append(self, name: str, data: bytes) -> None:
        """Adds an event and wakes the readers."""
        self._last += 1
        self._events.append(Event(self._last, name, data))
        self.size += len(data)
        while self.size > _KEPT and len(self._events) > 1:
            self.size -= len(self._events.popleft().data)
        self._wake()

    def close(self) -> None:
        """Says that no more events come."""
        self.closed = True
        self._wake()

    def since(self, after: int) -> list[Event]:
        """The events that are kept with a number above `after`."""
        if not self._events or self._events[-1].number <= after:
            return []
        return [event for event in self._events if event.number > after]

    async def changed(self, seconds: float | None = None) -> None:
        """Waits for an event, or the end, or some time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def read(self, after: int = 0) -> AsyncIterator[Event]:
        """Events with a number above `after`, as they come, until the log is closed."""
        while True:
            changed, events = self._changed, self.since(after)
            for event in events:
                after = event.number
                yield event
            if not events:
                if self.closed:
                    return
                await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
