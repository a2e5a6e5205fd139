"""The log of an agent's events: what is emitted, and what comes from outside."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from agent_runtime.errors import NotFoundError, TooManyRequestsError, UnreadableError
from agent_runtime.events.errors import HopsError
from agent_runtime.events.records import Entry, SealedLetter
from agent_runtime.state.records import ANONYMOUS
from agent_runtime.workflow.peer import MAX_HOPS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_runtime.events.consumer import Consumer
    from agent_runtime.events.event import Event
    from agent_runtime.events.metrics import EventMetrics
    from agent_runtime.events.records import Letter
    from agent_runtime.events.storage import Storage

_FROM_OUTSIDE = 0.9
"""The part of the log that events from outside may fill. What is left is for those that the agent's own runs emit."""
_ALONE = 0.9
"""The part of that which one sender may fill where nobody else has any event in it; the rest lets others in."""
_AMONG_OTHERS = 0.5
_EXACT = 0.4
"""From this part of the log on events are counted at each one; below it, once a second."""
_FRESH = 1.0
_RETRY_AFTER = 5.0
_PAGE = 100


class EventLog:
    """Accepts events once each, and has them delivered. Every method may raise UnavailableError."""

    def __init__(self, storage: Storage, consumers: Sequence[Consumer], most: int, metrics: EventMetrics) -> None:
        """`most` is how many events may wait for a consumer at a time."""
        self._storage = storage
        self._consumers = tuple(consumers)
        self._most = most
        self._metrics = metrics
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._counted = float("-inf")
        self._listeners: list[Callable[[str, str], None]] = []

    @property
    def consumers(self) -> tuple[str, ...]:
        """The names of all who get events."""
        return tuple(consumer.name for consumer in self._consumers)

    async def append(self, event: Event, owner: str = ANONYMOUS, *, emitted: bool = False) -> bool:
        """Accepts an event, which is in the log when this returns; False if the log has it already.

        `owner` is `Principal.owner` of who sent it, or of the run that `emitted` it.

        Raises:
            HopsError: Too many agents have caused each other's events in turn.
            TooManyRequestsError: The log is full.
        """
        if event.hops > MAX_HOPS:
            self._metrics.refused.labels("hops").inc()
            raise HopsError(
                f"{MAX_HOPS} agents have caused each other's events in turn already: look for a loop of events"
            )
        wanted = [consumer.name for consumer in self._consumers if await consumer.wants(event)]
        if not wanted:
            self._metrics.accepted.inc()
            return True
        await self._make_room(None if emitted else owner)
        entry = Entry(event, owner)
        if not await self._storage.add(entry, wanted):
            self._metrics.duplicates.inc()
            return False
        self._metrics.accepted.inc()
        for name in wanted:
            self._tell(name, entry.lane)
        return True

    async def dead_letters(self, consumer: str | None = None, limit: int = _PAGE, after: str = "") -> list[Letter]:
        """Events that a consumer, or any, did not take; in the order of their ids, from behind the id `after`."""
        return await self._storage.letters(consumer, limit, after)

    async def dead_letter(self, identifier: str) -> Letter:
        """A dead letter. Raises NotFoundError."""
        letter = await self._storage.letter(identifier)
        if letter is None:
            raise _unknown(identifier)
        return letter

    async def replay(self, identifier: str) -> None:
        """Has a dead letter delivered again, before later events of its subject that still wait.

        Raises:
            NotFoundError: There is no such dead letter, or nobody any more who should get it.
            UnreadableError: It can't be read.
        """
        letter = await self.dead_letter(identifier)
        if isinstance(letter, SealedLetter):
            raise UnreadableError(letter.unreadable)
        if letter.consumer not in self.consumers:
            raise NotFoundError(f"the agent has no consumer {letter.consumer} any more: discard the dead letter")
        await self._storage.exhume(letter)
        self._tell(letter.consumer, letter.entry.lane)

    async def discard(self, identifier: str) -> None:
        """Forgets a dead letter.

        Raises:
            NotFoundError: There is none.
        """
        if not await self._storage.discard(identifier):
            raise _unknown(identifier)

    def refuse(self, reason: str) -> None:
        """Counts what came in and is no event."""
        self._metrics.refused.labels(reason).inc()

    def listen(self, listener: Callable[[str, str], None]) -> None:
        """Has `listener` called with consumer and lane when there is something to deliver; "" where all may have."""
        self._listeners.append(listener)

    def wake(self) -> None:
        """Has everything looked at that may be delivered."""
        self._tell("", "")

    def _tell(self, consumer: str, lane: str) -> None:
        for listener in self._listeners:
            listener(consumer, lane)

    async def _make_room(self, sender: str | None) -> None:
        """`sender` is None for what a run of the agent emits."""
        async with self._lock:
            if time.monotonic() - self._counted > _FRESH or self._waiting >= self._most * _EXACT:
                self._waiting = await self._storage.backlog()
                self._counted = time.monotonic()
                self._metrics.pending.set(self._waiting)
            most = self._most if sender is None else int(self._most * _FROM_OUTSIDE)
            if self._waiting >= most:
                raise self._full(f"{self._waiting} events wait to be delivered, and {most} is the most")
            if sender is not None and self._waiting >= self._most * _EXACT:
                sent = await self._storage.backlog(sender)
                share = int(most * (_AMONG_OTHERS if self._waiting > sent else _ALONE))
                if sent >= share:
                    raise self._full(f"{sent} of your events wait to be delivered, and {share} is the most for one now")
            self._waiting += 1

    def _full(self, message: str) -> TooManyRequestsError:
        self._metrics.refused.labels("full").inc()
        return TooManyRequestsError(f"{message} (`events.maxPending`): come again later", retry_after=_RETRY_AFTER)


def _unknown(identifier: str) -> NotFoundError:
    return NotFoundError(f"there is no dead letter {identifier}")
