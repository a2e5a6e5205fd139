"""Keeps events of runs where other pods find them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent_runtime.background import finish
from agent_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_runtime.runs.job import Job
    from agent_runtime.state.records import Event
    from agent_runtime.state.store import Store

_GATHERED = 0.1
"""Seconds in which events are gathered for one write."""
_BATCH = 1 << 20
"""Bytes of one write."""
_LARGEST = 8 << 20
"""Bytes of an event that is kept; of a larger one other pods tell only the result."""
_PAUSE = 1.0
_PATIENCE = 30.0
"""Seconds for which the events of a run that ended are tried to be kept."""


class Journal:
    """Writes the events of runs that are followed, or may be, from other pods."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keeping: dict[str, asyncio.Task[None]] = {}

    def keep(self, job: Job) -> None:
        """Begins to write the events of a run, those before included, until it ends here."""
        run_id = job.run.run_id
        if self._store.durable and run_id not in self._keeping:
            task = self._keeping[run_id] = asyncio.create_task(self._keep(job))
            task.add_done_callback(lambda _: self._keeping.pop(run_id, None))

    async def close(self, seconds: float) -> None:
        """Waits until all is written, but not for long."""
        await finish(list(self._keeping.values()), seconds)

    async def _keep(self, job: Job) -> None:
        after = 0
        while True:
            events = job.events.since(after)
            for batch in _batches(events):
                await self._write(job, batch)
                after = batch[-1].number
            if not events:
                if job.events.closed:
                    return
                await job.events.changed()
            if not job.events.closed:
                await asyncio.sleep(_GATHERED)

    async def _write(self, job: Job, batch: Sequence[Event]) -> None:
        kept = [event for event in batch if len(event.data) <= _LARGEST]
        waited = 0.0
        while kept and waited < _PATIENCE:
            try:
                await self._store.add_events(job.run, kept)
            except UnavailableError:
                await asyncio.sleep(_PAUSE)
                waited += _PAUSE
            else:
                return


def _batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    begin = size = 0
    for number, event in enumerate(events):
        if number > begin and size + len(event.data) > _BATCH:
            yield events[begin:number]
            begin, size = number, 0
        size += len(event.data)
    if events:
        yield events[begin:]
