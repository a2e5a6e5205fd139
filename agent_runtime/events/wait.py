from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from agent_runtime.events.match import Match
from agent_runtime.spec.expression import Expression

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from agent_runtime.events.event import Event
    from agent_runtime.events.records import Entry

WAIT_VARIABLES = ("state", "event")


@dataclass(frozen=True)
class Wait:
    """A `wait` node that has come to its turn.

    Attributes:
        key: thread, checkpoint and task, so that a node that runs again is the same wait.
        step: thread and checkpoint.
        bound: the fields of the state that the filter names.
        due: when it ends if no event comes.
        entry: the event that it got.
    """

    key: str
    thread_id: str
    step: str
    interrupt_id: str
    type: str
    source: str | None = None
    subject: str | None = None
    filter: str | None = None
    bound: dict[str, Any] = field(default_factory=dict)
    due: datetime | None = None
    entry: Entry | None = None

    async def fits(self, event: Event) -> bool:
        """Whether it waits for such an event."""
        if self.subject is not None and self.subject != event.subject:
            return False
        condition = Expression.compile(self.filter, WAIT_VARIABLES) if self.filter else None
        return await Match(self.type, self.source, condition, state=self.bound).fits(event)


class WaitStorage(Protocol):
    """Keeps who waits for events, and for some minutes events that nobody waits for yet."""

    async def prepare(self) -> None:
        """Makes what has to be there. Every method may raise UnavailableError."""

    async def begin(self, wait: Wait) -> Wait:
        """Keeps a wait; the one that is kept, if there is one of its key."""

    async def end(self, key: str) -> None:
        """Forgets a wait that got no event."""

    async def waiting(self, event: Event, types: Collection[str]) -> list[Wait]:
        """Those that wait for one of these patterns of types, and may fit the event."""

    async def given(self, entry: Entry) -> list[Wait]:
        """Those that got this event."""

    async def give(self, wait: Wait, entry: Entry) -> bool:
        """Whether the wait had no event yet, and got this one."""

    async def keep_early(self, entry: Entry, until: datetime) -> None:
        """Keeps an event for a wait that comes until then."""

    async def early(self, wait: Wait) -> list[Entry]:
        """Events that nobody waited for and that may fit this wait, the oldest first."""

    async def drop_early(self, entry: Entry) -> None:
        """Forgets an early event."""
