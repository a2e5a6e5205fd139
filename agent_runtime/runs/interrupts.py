"""What threads wait for, noted as their runs end."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import UnavailableError
from agent_runtime.runs.encode import plain
from agent_runtime.runs.executor import thread_config
from agent_runtime.state.interrupts import Interrupt
from agent_runtime.state.records import ANONYMOUS, OWN_PREFIX
from agent_runtime.workflow.expiry import EXPIRES_AT, expiry_of
from agent_runtime.workflow.questions import question_of

if TYPE_CHECKING:
    from datetime import datetime

    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import Interrupt as Asked

    from agent_runtime.metrics import Metrics
    from agent_runtime.state.interrupts import InterruptStatus
    from agent_runtime.state.records import Run, Thread
    from agent_runtime.state.store import Store

EXPIRY = OWN_PREFIX + "expiry"
"""Marks in its metadata a run that ends an interrupt which nobody answered in time."""

_ID = re.compile(r"[0-9a-f]{32}")
"""The id of an interrupt."""


def _nobody(due: datetime) -> None:
    """Wakes nobody."""


@dataclass
class Interrupts:
    """Keeps what threads wait for beside them, where it is found by its time and by who may answer.

    Kept are those whose value is an object with a `type` or a time of its end.
    """

    store: Store
    graph: CompiledStateGraph[Any]
    metrics: Metrics
    noted: Callable[[datetime], None] = _nobody
    """Is told when one that was noted here is due."""

    async def note(self, thread_id: str, owner: str, asked: Sequence[Asked]) -> bool:
        """Keeps those that a thread waits for, whose run is about to end with them; whether there are any."""
        found = [one for each in asked if (one := _kept(thread_id, owner, each)) is not None]
        if found:
            await self.store.note_interrupts(found)
        for one in found:
            if one.due is not None:
                self.noted(one.due)
        return bool(found)

    async def end(self, run: Run, asked: Sequence[Asked]) -> None:
        """Tells of those that the thread waited for before the run what became of them; `asked` are those after it."""
        left = [one.id for one in asked]
        answer = (run.request["body"].get("command") or {}).get("resume")
        status: InterruptStatus = "expired" if EXPIRY in run.metadata else "answered"
        # What is not written here, the next sweep writes.
        with suppress(UnavailableError):
            if answer is not None:
                await self._end(run.thread_id, status, _named(answer), left)
            await self._end(run.thread_id, "closed", None, left)

    async def refresh(self, thread: Thread) -> None:
        """Reads what the thread waits for, after it was written to by other means than a run."""
        state = await self.graph.aget_state(thread_config(thread.thread_id))
        asked = state.interrupts if thread.status == "interrupted" else ()
        found = await self.note(thread.thread_id, thread.owner, asked)
        await self.store.set_asked(thread.thread_id, asked=found)
        await self._end(thread.thread_id, "closed", None, [one.id for one in asked])

    async def _end(
        self, thread_id: str, status: InterruptStatus, ids: Collection[str] | None, left: Collection[str]
    ) -> None:
        for kind in await self.store.end_interrupts(thread_id, status, ids=ids, but=left):
            self.metrics.interrupt_ended(kind, status)


def _named(answer: Any) -> list[str] | None:
    """The interrupts that a resumption names; None where it answers the only one, as LangGraph tells them apart."""
    named = isinstance(answer, dict) and answer and all(_ID.fullmatch(name) for name in answer)
    return list(answer) if named else None


def _kept(thread_id: str, owner: str, asked: Asked) -> Interrupt | None:
    value = plain(asked.value)
    if not isinstance(value, dict) or not (value.get("type") or value.get(EXPIRES_AT)):
        return None
    question = question_of(value)
    return Interrupt(
        thread_id,
        asked.id,
        str(value.get("type", "")),
        value,
        owner or ANONYMOUS,
        node=str(value.get("node", "")),
        approvers=question.approvers if question else (),
        handle=hashlib.sha256(f"{thread_id}:{asked.id}".encode()).hexdigest()[:32],
        due=expiry_of(value),
    )
