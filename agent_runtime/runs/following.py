"""Runs as those see them who wait for them, or follow their events."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from agent_runtime.errors import NotFoundError, UnavailableError
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.lookout import Result
from agent_runtime.state.records import Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agent_runtime.runs.executor import Executor
    from agent_runtime.runs.worker import Worker
    from agent_runtime.state.records import Run
    from agent_runtime.state.store import Store

T = TypeVar("T")

_LAST = frozenset({"end", "error"})
_PAUSE = 0.25
"""Seconds between looks for what another pod keeps of a run."""
_LAST_EVENTS = 2.0
"""Seconds after the end of a run in which its last events come."""

_POLL = 0.5
"""Seconds between tries to reach the state, for a client that waits."""


@dataclass(frozen=True)
class Following:
    """Follows runs, wherever they execute."""

    store: Store
    worker: Worker
    executor: Executor

    async def ended(self, run: Run) -> Result | None:
        """Waits for the end of a run; None where it is removed."""
        with self.worker.watching(run.run_id) as changes:
            # One that was offered here a moment ago begins here, most likely: then there is no need to look.
            soon = self.worker.expects(run.thread_id)
            while True:
                if not (soon or self.worker.job(run.run_id)):
                    current = await patiently(lambda: self.store.run(run.thread_id, run.run_id))
                    if current is None or not current.active:
                        return Result(current) if current else None
                woken = await changes.wait(_PAUSE if soon else None)
                if changes.result is not None:
                    return changes.result
                soon = soon and not woken and self.worker.expects(run.thread_id)

    async def wait(self, run: Run) -> dict[str, Any]:
        """The values that the run ended with, wherever it executes; or its error under `__error__`."""
        ended = await self.ended(run)
        if ended is None:
            return _failure(f"there is no run {run.run_id} any more: it was rolled back, or deleted")
        if ended.run.error is None and ended.values is not None:
            return ended.values
        return await patiently(lambda: self.result(ended.run))

    async def result(self, run: Run) -> dict[str, Any]:
        """The same of a run that has ended, at once.

        Raises:
            UnavailableError: The state can't be reached, or this of it not be read.
        """
        if run.error is not None:
            return {"__error__": run.error}
        try:
            return await self.executor.values(run, run.checkpoint)
        except NotFoundError as error:
            return _failure(str(error))

    async def events(self, run: Run, after: int = 0) -> AsyncIterator[Event]:
        """The run's events from one on, wherever it executes, and over all its attempts.

        Where they are no longer kept, the result comes at the end.
        """
        async for event in self._told(run, after):
            after = event.number
            yield event
            if event.name in _LAST:
                return
        values = await self.wait(run)
        if error := values.get("__error__"):
            yield Event(after + 1, "error", dumps(error))
            return
        yield Event(after + 1, "values", dumps(values))
        yield Event(after + 2, "end", b"null")

    async def _told(self, run: Run, after: int) -> AsyncIterator[Event]:
        """What this pod knows of the run, and what others keep of it, until the run has ended and that is all."""
        asked = run.followed
        ended: float | None = None
        with self.worker.watching(run.run_id) as changes:
            while True:
                if log := self.worker.events(run.run_id):
                    async for event in log.read(after):
                        after = event.number
                        yield event
                        if event.name in _LAST:
                            return
                kept = await patiently(partial(self.store.events_after, run, after))
                for event in kept:
                    after = event.number
                    yield event
                if kept:
                    continue
                current = await patiently(lambda: self.store.run(run.thread_id, run.run_id))
                if current is None or not current.active:
                    ended = ended or time.monotonic()
                    # The end is written before the last events are.
                    if current is None or not current.followed or time.monotonic() - ended > _LAST_EVENTS:
                        return
                elif not asked:
                    await patiently(lambda: self.store.follow(run))
                    asked = True
                await changes.wait(_PAUSE)


def _failure(message: str) -> dict[str, Any]:
    return {"__error__": {"error": "NotKept", "message": message}}


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Asks until the state can be reached: who waits for a run also waits for the state."""
    while True:
        try:
            return await ask()
        except UnavailableError:
            await asyncio.sleep(_POLL)
