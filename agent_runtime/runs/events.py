"""What a run in this pod has told so far."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_KEPT = 4 << 20
"""Bytes of events kept per run, for clients that come late or come back."""


@dataclass(frozen=True)
class Event:
    """One server-sent event; `number` counts from 1 within the run."""

    number: int
    name: str
    data: bytes


class EventLog:
    """The events of one run. Any number of readers, each from where it wants; a slow one misses the oldest."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self.size = 0
        """Bytes of the events that are kept."""
        self._count = 0
        self._closed = False
        self._changed = asyncio.Event()

    def append(self, name: str, data: bytes) -> None:
        """Adds an event and wakes the readers."""
        self._count += 1
        self._events.append(Event(self._count, name, data))
        self.size += len(data)
        while self.size > _KEPT and len(self._events) > 1:
            self.size -= len(self._events.popleft().data)
        self._wake()

    def close(self) -> None:
        """Says that no more events come."""
        self._closed = True
        self._wake()

    async def read(self, after: int = 0) -> AsyncIterator[Event]:
        """Events with a number above `after`, as they come, until the log is closed."""
        while True:
            changed = self._changed
            for event in [event for event in self._events if event.number > after]:
                after = event.number
                yield event
            if self._closed and after >= self._count:
                return
            if after >= self._count:
                await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
