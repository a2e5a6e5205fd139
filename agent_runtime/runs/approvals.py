"""Approvals: what runs wait for a person to say, and who may say it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from agent_runtime.auth.approvers import marks_of
from agent_runtime.auth.principal import Principal
from agent_runtime.errors import ConfigError, ConflictError, InputError, NotFoundError
from agent_runtime.resilience.subject import Subject
from agent_runtime.runs.resumption import ANSWER, Resumption
from agent_runtime.spec.approval_node import CHOICE
from agent_runtime.state.interrupts import InterruptQuery
from agent_runtime.state.records import OWN_PREFIX, ThreadQuery, now, shown
from agent_runtime.workflow.expiry import expiry_of, is_expired
from agent_runtime.workflow.json_schema import Schema
from agent_runtime.workflow.questions import Question, question_of, whole_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_runtime.runs.caller import Caller
    from agent_runtime.runs.service import RunService
    from agent_runtime.state.interrupts import Interrupt, InterruptStatus
    from agent_runtime.state.records import Run

KIND = "approval"
ANSWERED_BY = OWN_PREFIX + "answered_by"
"""Tells in a run's metadata who answered, where that is not the thread's owner."""
_SEPARATOR = ":"
"""Between a thread's id, which has none, and an interrupt's."""
_BATCH = 100
_ENDS = {
    "answered": "it was answered",
    "expired": "nobody answered in time",
    "closed": "its thread has gone on without an answer",
}


@dataclass(frozen=True)
class Approval:
    """A question that a thread waits with, or did; as its owner sees it, or an approver."""

    interrupt: Interrupt
    question: Question | None
    """None where it can't be read."""
    own: bool

    @classmethod
    def of(cls, interrupt: Interrupt, caller: Principal) -> Self | None:
        """None if the interrupt is no approval."""
        question = question_of(interrupt.value)
        if question is None and not (interrupt.unreadable and interrupt.kind == KIND):
            return None
        return cls(interrupt, question, interrupt.owner == caller.owner)

    @property
    def identifier(self) -> str:
        """What this caller knows it by."""
        one = self.interrupt
        return f"{shown(one.thread_id)}{_SEPARATOR}{one.interrupt_id}" if self.own else one.handle

    @property
    def as_json(self) -> dict[str, Any]:
        """As clients get it; who is no owner learns nothing of the thread."""
        one = self.interrupt
        asked = self.question.value if self.question else _sealed(one)
        for name in ("type", "approvers"):
            asked.pop(name, None)
        place = {"thread_id": shown(one.thread_id), "interrupt_id": one.interrupt_id} if self.own else {}
        ended = {"ended": one.ended} if one.ended else {}
        return {"id": self.identifier, **place, "status": one.status, **asked, "since": one.since, **ended}


@dataclass(frozen=True)
class Filter:
    """Which approvals to list."""

    status: InterruptStatus = "open"
    node: str | None = None
    thread_id: str | None = None
    """Of the caller's own."""
    own: bool | None = None
    """Of the caller's own threads, or of others'; None for both."""


@dataclass(frozen=True)
class Approvals:
    """What a caller can do with approvals: those of their threads, and those of others that they may answer."""

    runs: RunService

    async def list(
        self, caller: Principal, wanted: Filter, limit: int, offset: int
    ) -> tuple[list[Approval], int | None]:
        """Those that fit, the oldest first; the `offset` of the next page, where there is one."""
        marks = [] if wanted.own else marks_of(caller, await self.runs.store.approvers())
        query = InterruptQuery(
            KIND,
            wanted.status,
            None if wanted.own is False else caller.owner,
            tuple(marks),
            wanted.node,
            caller.key(wanted.thread_id) if wanted.thread_id else None,
            _BATCH,
        )
        found: list[Approval] = []
        while True:
            batch = await self.runs.store.interrupts(replace(query, offset=offset))
            there = await self._there(batch) if wanted.status == "open" else set()
            for one in batch:
                if len(found) == limit:
                    return found, offset
                offset += 1
                approval = Approval.of(one, caller)
                if approval is not None and (wanted.status != "open" or one.thread_id in there):
                    found.append(approval)
            if len(batch) < _BATCH:
                return found, None

    async def get(self, identifier: str, caller: Principal) -> Approval:
        """One of them, open or not.

        Raises:
            NotFoundError: There is none that this caller may see.
        """
        found = await self._found(identifier, caller)
        if found is None or (approval := Approval.of(found, caller)) is None:
            raise NotFoundError(f"there is no approval {identifier}")
        if found.status == "open" and not await self._there([found]):
            return replace(approval, interrupt=replace(found, status="closed"))
        return approval

    async def answer(self, identifier: str, answer: Any, caller: Caller) -> tuple[Approval, Run]:
        """Begins the run that goes on with the answer.

        Raises:
            NotFoundError: There is none that this caller may answer.
            ConflictError: It was answered before, nobody did so in time, or its thread is busy or has gone on.
            InputError: The answer does not fit.
            TooManyRequestsError: The caller has used up what the limits allow.
        """
        one = await self._found(identifier, caller.principal) or await self._unnoted(identifier, caller.principal)
        if (thread := await self.runs.store.thread(one.thread_id)) is None:
            raise NotFoundError(f"there is no approval {identifier}")
        resumption = Resumption(self.runs)
        standing = await resumption.standing(thread)
        newest = standing.newest
        mark = f"{one.handle}{_SEPARATOR}{caller.key or uuid4()}"
        own = one.owner == caller.principal.owner
        known = Approval.of(one, caller.principal)
        if newest is not None and newest.metadata.get(ANSWER) == mark and known is not None:
            return known, newest  # the same request once more
        if newest is not None and newest.active:
            raise ConflictError(f"approval {identifier} is not open: a run goes on with its thread")
        asked = next((each for each in standing.asked if each.id == one.interrupt_id), None)
        question = question_of(asked.value) if asked else None
        if asked is None or question is None:
            raise ConflictError(f"approval {identifier} is not open: {_ENDS.get(one.status, _ENDS['closed'])}")
        if (end := expiry_of(asked.value)) is not None and end <= now():
            raise ConflictError(f"approval {identifier} is not open: {_ENDS['expired']}")
        given = whole_answer(answer)
        if is_expired(given):
            raise InputError("answer: that nobody answered can't be the answer")
        if problem := await _mismatch(given, question):
            raise InputError(f"answer: {problem}")
        metadata: dict[str, Any] = {ANSWER: mark}
        if not own:
            # The run is the owner's, and counts with the owner's; the request is not.
            await self.runs.resilience.admit(Subject.of_owner(caller.principal.owner), caller.key or "")
            metadata[ANSWERED_BY] = caller.principal.description
            caller = replace(caller, principal=Principal.of_owner(thread.owner))
        run = await resumption.resume(thread, standing, {one.interrupt_id: given}, caller, metadata, own=not own)
        return Approval(replace(one, status="answered"), question, own), run

    async def _found(self, identifier: str, caller: Principal) -> Interrupt | None:
        """What the caller may see by this id."""
        thread_id, separator, interrupt_id = identifier.partition(_SEPARATOR)
        if separator:
            return await self.runs.store.interrupt(caller.key(thread_id), interrupt_id)
        found = await self.runs.store.interrupt_of(identifier)
        if found is None or (found.owner != caller.owner and not marks_of(caller, found.approvers)):
            return None
        return found

    async def _unnoted(self, identifier: str, caller: Principal) -> Interrupt:
        """What an older release left in the caller's own thread, before it was noted."""
        thread_id, separator, _ = identifier.partition(_SEPARATOR)
        thread = await self.runs.store.thread(caller.key(thread_id)) if separator else None
        if thread is None:
            raise NotFoundError(f"there is no approval {identifier}")
        await self.runs.interrupts.refresh(thread)
        if (found := await self._found(identifier, caller)) is None:
            raise ConflictError(f"approval {identifier} is not open: {_ENDS['closed']}")
        return found

    async def _there(self, found: Sequence[Interrupt]) -> set[str]:
        """Those threads of them that do wait: one whose run goes on waits for nothing."""
        ids = tuple({one.thread_id for one in found})
        query = ThreadQuery(ids=ids, status="interrupted", limit=len(ids))
        return {thread.thread_id for thread in await self.runs.store.threads(query)} if ids else set()


def _sealed(one: Interrupt) -> dict[str, Any]:
    """What can be told of a question that can't be read."""
    due = {"expires_at": one.due.isoformat(timespec="milliseconds")} if one.due and one.status == "open" else {}
    return {"node": one.node, "unreadable": one.unreadable, **due}


async def _mismatch(answer: Any, question: Question) -> str | None:
    """Where and why an answer does not fit; a graph of somebody's own may give a schema that says too little."""
    with suppress(ConfigError):
        if problem := await Schema.read(question.schema_, "the approval").mismatch(answer):
            return problem
    if isinstance(answer, dict) and answer.get(CHOICE) in question.choices:
        return None
    return f"{CHOICE}: must be one of {', '.join(question.choices)}"
