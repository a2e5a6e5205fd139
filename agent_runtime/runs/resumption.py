"""The run that goes on behind an interrupt: one for each, however many pods and people try."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import ConflictError
from agent_runtime.runs.executor import thread_config
from agent_runtime.runs.request import CommandRequest, RunRequest
from agent_runtime.state.records import OWN_PREFIX

if TYPE_CHECKING:
    from langgraph.types import Interrupt as Asked

    from agent_runtime.runs.caller import Caller
    from agent_runtime.runs.service import RunService
    from agent_runtime.state.records import Run, Thread

ANSWER = OWN_PREFIX + "answer"
"""Tells in a run's metadata which request answered by it."""


@dataclass(frozen=True)
class Standing:
    """What a thread waits for, and the newest run as it was before that was read."""

    newest: Run | None
    asked: tuple[Asked, ...]

    @property
    def busy(self) -> bool:
        """Whether a run goes on with the thread, so that what it waited for counts no more."""
        return self.newest is not None and self.newest.active


@dataclass(frozen=True)
class Resumption:
    """Goes on with threads that wait."""

    runs: RunService

    async def standing(self, thread: Thread) -> Standing:
        """How a thread stands."""
        # Read before the state: of those who see the same newest run, one alone can add the run that follows it.
        newest = next(iter(await self.runs.store.runs(thread.thread_id, None, 1, 0)), None)
        if newest is not None and newest.active:
            return Standing(newest, ())
        state = await self.runs.graph.aget_state(thread_config(thread.thread_id))
        return Standing(newest, state.interrupts)

    async def resume(
        self,
        thread: Thread,
        standing: Standing,
        answers: dict[str, Any],
        caller: Caller,
        metadata: dict[str, Any],
        *,
        own: bool = False,
    ) -> Run:
        """Begins the run with the answers; `metadata` has `ANSWER`, and `own` says that no quota holds it up.

        Raises:
            ConflictError: Another run went on with the thread meanwhile.
            TooManyRequestsError: As `RunService.submit`.
        """
        request = RunRequest(
            assistant_id="agent",
            command=CommandRequest(resume=answers),
            metadata=metadata,
            multitask_strategy="reject",
            stream_mode="custom",
        )
        after = f"answer:{standing.newest.run_id if standing.newest else None}"
        run = await self.runs.submit(thread.thread_id, request, replace(caller, key=after), own=own)
        if run.metadata.get(ANSWER) != metadata[ANSWER]:
            raise ConflictError(f"it was answered by run {run.run_id}")
        return run
