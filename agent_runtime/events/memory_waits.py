from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agent_runtime.state.records import now

if TYPE_CHECKING:
    from collections.abc import Collection

    from agent_runtime.events.event import Event
    from agent_runtime.events.records import Entry
    from agent_runtime.events.wait import Wait

_EARLY = 200
"""Early events that are kept; then the oldest go."""
_WAITS = 10_000


class MemoryWaits:
    """Waits of an agent without `state`; `life` is how long it is known what one got, in seconds."""

    def __init__(self, life: float) -> None:
        self._life = timedelta(seconds=life)
        self._waits: OrderedDict[str, Wait] = OrderedDict()
        self._gone: dict[str, datetime] = {}
        self._early: OrderedDict[str, tuple[Entry, datetime]] = OrderedDict()

    async def prepare(self) -> None:
        """Nothing to make."""

    async def begin(self, wait: Wait) -> Wait:
        self._expire()
        return self._waits.setdefault(wait.key, wait)

    async def end(self, key: str) -> None:
        if (wait := self._waits.get(key)) is not None and wait.entry is None:
            del self._waits[key]

    async def waiting(self, event: Event, types: Collection[str]) -> list[Wait]:
        found = (wait for wait in self._waits.values() if wait.entry is None and wait.type in types)
        return [wait for wait in found if wait.subject in (None, event.subject)]

    async def given(self, entry: Entry) -> list[Wait]:
        return [wait for wait in self._waits.values() if wait.entry is not None and wait.entry.key == entry.key]

    async def give(self, wait: Wait, entry: Entry) -> bool:
        kept = self._waits.get(wait.key)
        if kept is None or kept.entry is not None:
            return False
        self._waits[wait.key] = replace(kept, entry=entry)
        self._gone[wait.key] = now() + self._life
        return True

    async def keep_early(self, entry: Entry, until: datetime) -> None:
        self._early[entry.key] = (entry, until)
        if len(self._early) > _EARLY:
            self._early.popitem(last=False)

    async def early(self, wait: Wait) -> list[Entry]:
        self._expire()
        return [entry for entry, _ in self._early.values() if wait.subject in (None, entry.event.subject)]

    async def drop_early(self, entry: Entry) -> None:
        self._early.pop(entry.key, None)

    def _expire(self) -> None:
        moment = now()
        for key in [key for key, until in self._gone.items() if until < moment]:
            del self._gone[key]
            self._waits.pop(key, None)
        while len(self._waits) > _WAITS:
            key, _ = self._waits.popitem(last=False)
            self._gone.pop(key, None)
        for key in [key for key, (_, until) in self._early.items() if until < moment]:
            del self._early[key]
