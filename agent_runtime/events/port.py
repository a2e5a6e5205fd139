from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agent_runtime.events.event import Event
    from agent_runtime.events.records import Entry
    from agent_runtime.events.wait import Wait


class EventPort(Protocol):
    """What nodes of a workflow do with events."""

    @property
    def source(self) -> str:
        """The source of events that the agent emits."""

    async def emit(self, event: Event, owner: str) -> bool:
        """As `EventLog.append`, for a run of the owner."""

    async def begin_wait(self, wait: Wait) -> Entry | None:
        """Notes that a node waits; the event, if it got one or one has come already."""

    async def end_wait(self, wait: Wait) -> None:
        """Forgets a wait that got no event."""
