from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from agent_runtime.events.records import DeadLetter, Entry, Lane, Letter


class Storage(Protocol):
    """Keeps one agent's events, and who still has to get them.

    An event is one document with the names of those who have yet to get it. So it is never half handed out, and there
    is no cursor that could pass by an event whose number is lower and which is seen later.
    Every method may raise UnavailableError.
    """

    async def prepare(self) -> None:
        """Makes what has to be there."""

    async def add(self, entry: Entry, consumers: Sequence[str]) -> bool:
        """Whether the event is new and was added, at the next position of the log."""

    async def backlog(self, owner: str | None = None) -> int:
        """How many events, of one owner or of all, somebody has yet to get."""

    async def lanes(self) -> list[Lane]:
        """Lanes that somebody holds, or that wait for another attempt."""

    async def waiting(
        self, consumer: str, besides: Collection[str], limit: int, *, without: Collection[str] = ()
    ) -> list[str]:
        """Lanes, besides the given ones, with events that the consumer has yet to get; the oldest events' first.

        Those of the owners in `without` are left out.
        """

    async def take(self, consumer: str, lane: str, token: str) -> Lane | None:
        """Holds a lane; None if somebody else does, or it waits for another attempt."""

    async def renew(self, lanes: Sequence[Lane]) -> set[str]:
        """Raises the beats; the tokens of those lanes that are still held."""

    async def free(self, lane: Lane) -> None:
        """Lets a lane go. Another pod may do so for one that died."""

    async def put_off(self, lane: Lane) -> None:
        """Lets a lane go until its `due`, and keeps its `head`, `attempts` and `owner`."""

    async def pending(self, consumer: str, lane: str, limit: int) -> list[Entry]:
        """The lane's events that the consumer has yet to get, in order; up to one that can't be read.

        Raises:
            UnreadableError: That is the first one.
        """

    async def done(self, entry: Entry, consumer: str) -> None:
        """The consumer has got the event. When all have, of the event remains what tells its twins."""

    async def bury(self, letter: DeadLetter) -> None:
        """Keeps an event as a dead letter, and does `done`."""

    async def letters(self, consumer: str | None, limit: int, after: str) -> list[Letter]:
        """Dead letters in the order of their ids, from behind the id `after`."""

    async def letter(self, identifier: str) -> Letter | None:
        """A dead letter."""

    async def letter_count(self) -> int:
        """How many dead letters there are."""

    async def exhume(self, letter: DeadLetter) -> None:
        """Has the consumer get the event again, and removes the dead letter."""

    async def discard(self, identifier: str) -> bool:
        """Whether there was such a dead letter; it is gone."""

    async def trim(self, most: int) -> int:
        """Removes the oldest dead letters above a number; how many they were."""

    async def forget(self, consumers: Collection[str], before: datetime) -> int:
        """Ends deliveries to all other consumers, of events accepted before; how many names went."""
