"""How runs end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent_runtime.errors import UnavailableError
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.executor import Outcome
from agent_runtime.runs.lookout import Result
from agent_runtime.state import fence
from agent_runtime.state.records import TASK, Ending, Hook, now

if TYPE_CHECKING:
    from agent_runtime.runs.executor import Executor
    from agent_runtime.runs.interrupts import Interrupts
    from agent_runtime.runs.job import Job
    from agent_runtime.runs.leavings import Leavings
    from agent_runtime.runs.webhooks import Webhooks
    from agent_runtime.state.records import CancelAction, Run
    from agent_runtime.state.store import Store

_PAUSE = 1.0
"""Seconds between tries to write how a run ended."""


@dataclass(frozen=True)
class Settled:
    """What is left of a run that executed here."""

    result: Result | None
    """None where it goes on elsewhere, or is removed."""
    followed_by: bool
    """Whether the thread may have another run to execute."""


@dataclass(frozen=True)
class Settlement:
    """Writes the end of runs."""

    store: Store
    executor: Executor
    interrupts: Interrupts
    leavings: Leavings
    webhooks: Webhooks | None = None

    async def settle(self, job: Job, outcome: Outcome) -> Settled:
        """Writes how an execution ended, however long that takes, and frees the thread.

        Raises:
            FencedError: Another process executes the run now.
        """
        while True:
            try:
                with fence.holding(job.run.epoch):
                    ending = await self._write(job, outcome)
                if ending is None or ending.noted:
                    await self.store.free(job.lease)
                else:
                    self.leavings.add(replace(job.run, status=outcome.status, request={}), job.lease)
                break
            except UnavailableError:
                await asyncio.sleep(_PAUSE)
        if ending is None or outcome.status == "pending":
            return Settled(None, followed_by=True)
        if outcome.error:
            job.events.append("error", dumps(outcome.error))
        else:
            job.events.append("end", b"null")
        if job.roll_back:
            return Settled(None, followed_by=True)
        if outcome.values is None and outcome.error is None:
            return Settled(None, ending.followed_by)
        ended = replace(job.run, status=outcome.status, error=outcome.error, checkpoint=outcome.checkpoint)
        return Settled(Result(ended, outcome.values), ending.followed_by)

    async def _write(self, job: Job, outcome: Outcome) -> Ending | None:
        if job.roll_back:
            await self.executor.forget(job.run)
            return Ending(followed_by=True) if await self.store.delete_run(job.run) else None
        if outcome.status == "interrupted" and outcome.checkpoint is None:
            outcome = await self.executor.stopped(job.run)
        return await self._end(job.run, outcome, lone=job.lone)

    async def end_waiting(self, run: Run, action: CancelAction) -> bool:
        """Ends a run that no pod executes; not one that has to be undone, or that begins in this moment."""
        if run.status != "pending" or (action == "rollback" and run.attempt):
            return False
        if action == "rollback":
            return await self.store.delete_run(run)
        return await self._end(run, Outcome("interrupted")) is not None

    async def _end(self, run: Run, outcome: Outcome, *, lone: bool = False) -> Ending | None:
        """Writes the end of a run, and before it what is to be sent then: so no pod's end loses it."""
        values, hooks = outcome.values, list[Hook]()
        ended = replace(run, status=outcome.status, error=outcome.error, updated_at=now())
        tells = run.request["body"].get("webhook") or TASK in run.metadata
        if self.webhooks is not None and outcome.status != "pending" and tells:
            if values is None and outcome.checkpoint:
                values = await self.executor.values(run, outcome.checkpoint)
            hooks = await self.webhooks.note(ended, values)
        asked = await self._note(run, outcome)
        lone = lone and outcome.status == "success" and not asked
        ending = await self.store.end_run(
            run, outcome.status, outcome.error, outcome.checkpoint, asked=asked, lone=lone
        )
        if ending and ending.was_asked and asked is not None:
            await self.interrupts.end(run, outcome.interrupts)
        if self.webhooks is not None and outcome.status != "pending" and tells:
            if ending:
                self.webhooks.send(ended, values, hooks)
            else:
                await asyncio.gather(*(self.webhooks.drop(hook) for hook in hooks))
        return ending

    async def _note(self, run: Run, outcome: Outcome) -> bool | None:
        """Keeps what the thread waits for, before the run's end is written; None where that stays as it was."""
        if outcome.status == "pending" or run.attempt == 0:
            return None
        return await self.interrupts.note(run.thread_id, run.owner, outcome.interrupts)
