"""What other pods did: looked for regularly, since no word of it comes by itself."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_runtime.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from agent_runtime.state.records import Glimpse, Run
    from agent_runtime.state.store import Store

_LOOK = 0.5
"""Seconds between looks at runs that are waited for here, and at what clients ask of those that execute here."""

_LONGEST_PAUSE = 2.0
"""After a look that failed: clients wait for what it sees."""


@dataclass(frozen=True)
class Result:
    """How a run ended that executed here, with the values it ended with where it did so by itself."""

    run: Run
    values: dict[str, Any] | None = None


class Changes:
    """Wakes one that waits for a run."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.result: Result | None = None

    def set(self, result: Result | None = None) -> None:
        """Says that the run may have gone on, or that it ended here."""
        self.result = result or self.result
        self._changed.set()

    async def wait(self, seconds: float | None = None) -> bool:
        """Whether the run may have gone on since the last time; waits for it, or for some time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        woken = self._changed.is_set()
        self._changed.clear()
        return woken


class Lookout:
    """One look for all clients of the pod: as many as wait, there is one query."""

    def __init__(
        self, store: Store, here: Callable[[], Collection[str]], asked: Callable[[str, Glimpse], None]
    ) -> None:
        """`here` gives the runs that execute here; `asked` is called with what clients ask of one of them."""
        self._store = store
        self._here = here
        self._asked = asked
        self._waiting: dict[str, set[Changes]] = {}
        self._seen: dict[str, Glimpse] = {}
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """Says that a run executes here."""
        self._begun.set()

    @contextmanager
    def watching(self, run_id: str) -> Iterator[Changes]:
        """Tells inside when the run may have gone on."""
        changes, others = Changes(), self._waiting.setdefault(run_id, set())
        others.add(changes)
        self._begun.set()
        try:
            yield changes
        finally:
            others.discard(changes)
            if not others:
                self._waiting.pop(run_id, None)

    def notify(self, run_id: str, result: Result | None = None) -> None:
        """Wakes those who wait for a run."""
        for waiting in self._waiting.get(run_id, ()):
            waiting.set(result)

    async def look_forever(self) -> None:
        """Looks until cancelled, and not while there is nothing to look for."""
        loop = Loop("lookout", _LONGEST_PAUSE)
        while True:
            if not (self._waiting or self._here()):
                self._seen = {}
                self._begun.clear()
                await self._begun.wait()
            await asyncio.sleep(_LOOK)
            async with loop.turn():
                await self.look()

    async def look(self) -> None:
        """Asks the store once."""
        here = set(self._here())
        elsewhere = self._waiting.keys() - here
        if not here and not elsewhere:
            self._seen = {}
            return
        seen = {glimpse.run_id: glimpse for glimpse in await self._store.look(here | elsewhere)}
        for run_id in here & seen.keys():
            self._asked(run_id, seen[run_id])
        before, self._seen = self._seen, {run_id: seen[run_id] for run_id in elsewhere & seen.keys()}
        for run_id in elsewhere:
            glimpse = seen.get(run_id)
            # One that ended is told of at each look: who waits may have come after the last. One that is seen for the
            # first time has not changed for who waits, who has looked himself or knows that it waits to begin here.
            if glimpse is None or not glimpse.active or glimpse != before.get(run_id, glimpse):
                self.notify(run_id)
