from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from langgraph.runtime import RunControl

from agent_runtime.runs.events import EventLog
from agent_runtime.state.records import CancelAction, Lease, Run, RunStatus


@dataclass
class Job:
    """A run that executes here."""

    run: Run
    lease: Lease
    events: EventLog
    new: bool = False
    """Whether the thread was made for this run, which is begun for the first time."""
    lone: bool = False
    """Whether the thread most likely goes as soon as who waits for the run has its result."""
    control: RunControl = field(default_factory=RunControl)
    when_cancelled: RunStatus | None = "pending"
    """What becomes of the run if its task is cancelled; None if it is no longer ours."""
    roll_back: bool = False
    """Whether the run is removed with what it wrote, instead of ended."""
    task: asyncio.Task[None] | None = None
    executed: bool = False

    def stop(self, becomes: RunStatus | None) -> None:
        """Stops the execution at its next await. A run that was executed is left to write how it ended."""
        if self.task is not None and not self.executed:
            self.executed = True
            self.when_cancelled = becomes
            if becomes != "interrupted":
                # A node that asked another agent leaves it at work: the pod that goes on wants the answer.
                self.control.request_drain()
            self.task.cancel()

    def cancel(self, action: CancelAction) -> None:
        """As `stop`, because a client asked for it."""
        if not self.executed:
            self.roll_back = action == "rollback"
            self.stop("interrupted")
