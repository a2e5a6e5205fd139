"""The events of all runs of a thread, one after the other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_runtime.runs.encode import dumps
from agent_runtime.runs.following import patiently
from agent_runtime.state.records import Event, now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agent_runtime.runs.service import RunService
    from agent_runtime.state.records import Run

_LOOK = 0.5
"""Seconds between looks for a thread's next run."""
_RECENT = 20
RUN_DONE = "run_done"
_LIFECYCLE = frozenset({"metadata", RUN_DONE})
"""Events that tell that a run began or ended."""


@dataclass(frozen=True)
class ThreadEvent:
    """An event and the run that told it."""

    run_id: str
    event: Event


async def thread_events(
    runs: RunService, thread_id: str, run_id: str, after: int, *, lifecycle: bool
) -> AsyncIterator[ThreadEvent]:
    """Events of the runs that execute or come, without an end; with `run_id` those after one of its events.

    With `lifecycle` only that runs begin and end.
    """
    recent = await _recent(runs, thread_id)
    known = [run.run_id for run in recent]
    seen = set(known[: known.index(run_id)] if run_id in known else [run.run_id for run in recent if not run.active])
    while True:
        for run in recent:
            if run.run_id in seen or _waits(run):
                continue
            seen.add(run.run_id)
            last = after if run.run_id == run_id else 0
            async for event in runs.events(run, last):
                last = event.number
                if not lifecycle or event.name in _LIFECYCLE:
                    yield ThreadEvent(run.run_id, event)
            if last:
                yield ThreadEvent(run.run_id, Event(last, RUN_DONE, dumps({"run_id": run.run_id})))
        await asyncio.sleep(_LOOK)
        recent = await patiently(lambda: _recent(runs, thread_id))


def _waits(run: Run) -> bool:
    """Whether the run is to begin later: others of its thread pass it."""
    return run.status == "pending" and run.due is not None and run.due > now()


async def _recent(runs: RunService, thread_id: str) -> list[Run]:
    """The thread's newest runs, oldest first."""
    return (await runs.store.runs(thread_id, None, _RECENT, 0))[::-1]
