from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_runtime.state.records import Event, Run


class MemoryEvents:
    """Keeps no events: the only pod has them in its own log."""

    async def follow(self, run: Run) -> None:
        """As `Store`."""

    async def add_events(self, run: Run, events: Sequence[Event]) -> None:
        """As `Store`."""

    async def events_after(self, run: Run, after: int) -> list[Event]:  # noqa: ARG002 - there are none of any run
        return []
