"""Events that start runs, or answer threads that wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from agent_runtime.auth.principal import Principal
from agent_runtime.errors import AgentError, ConflictError, UnavailableError
from agent_runtime.events.errors import RefusedError
from agent_runtime.events.match import EVENT_VARIABLES, Match
from agent_runtime.runs.caller import Caller
from agent_runtime.runs.request import RunRequest
from agent_runtime.runs.resumption import ANSWER, Resumption
from agent_runtime.spec.expression import Expression, ExpressionError
from agent_runtime.spec.template import Template, as_text
from agent_runtime.state.records import OWN_PREFIX, now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_runtime.events.event import Event
    from agent_runtime.events.records import Entry
    from agent_runtime.runs.service import RunService
    from agent_runtime.spec.events import ResumeSpec, StartSpec, SubscriptionSpec

EVENT = OWN_PREFIX + "event"
"""Tells in a run's metadata which event it was begun for."""
_THREADS = UUID("9f0a7a34-5d0e-5d5c-9a53-2d3c1c6b4a10")
"""The namespace of the ids of threads that events have."""
_SOON = 0.05
_LAST = 20
"""Runs of a thread among which one is looked for that an event began."""


class NotWaitingError(AgentError):
    """The thread that an event would go on with waits for nothing, or is not there."""


@dataclass(frozen=True)
class Subscription:
    """A consumer that hands events to the agent's runs. Runs and threads belong to the event's owner.

    A run has its id from the subscription and the event: an event that is delivered twice starts one run.
    """

    spec: SubscriptionSpec
    match: Match
    begin: Start | Resume
    runs: Callable[[], RunService]

    @classmethod
    def of(cls, spec: SubscriptionSpec, runs: Callable[[], RunService], on_error: Callable[[], None]) -> Subscription:
        """From the spec.

        Raises:
            ExpressionError: An expression is not valid.
            ValueError: Neither `start` nor `resume` is set.
        """
        match = Match.of(spec.type, spec.source, spec.filter, on_error)
        if spec.start is not None:
            return cls(spec, match, Start.of(spec.start), runs)
        if spec.resume is not None:
            return cls(spec, match, Resume.of(spec.resume), runs)
        raise ValueError(f"subscription {spec.name}: set exactly one of `start` and `resume`")

    @property
    def name(self) -> str:
        """Under which its deliveries and dead letters are kept."""
        return f"subscribe/{self.spec.name}"

    async def wants(self, event: Event) -> bool:
        """Whether the event starts or resumes a run."""
        return await self.match.fits(event)

    async def deliver(self, entry: Entry) -> None:
        """Has the run accepted.

        Raises:
            RefusedError: The expressions of the subscription don't fit the event.
            NotWaitingError: The thread waits for nothing.
            UnavailableError: The state can't be reached, or the thread's earlier run has to begin first.
            TooManyRequestsError: There is no room for another run now.
        """
        key = f"{self.name}:{entry.key}"
        try:
            await self.begin.begin(self.runs(), entry, key, {EVENT: told(entry.event, self.spec.name)})
        except ExpressionError as error:
            raise RefusedError(str(error)) from error


@dataclass(frozen=True)
class Start:
    """Starts a run for each event."""

    message: Template | None
    input: Mapping[str, Expression]
    thread_key: Expression | None

    @classmethod
    def of(cls, spec: StartSpec) -> Start:
        """From the spec. Raises ExpressionError."""
        message = Template.compile(spec.message, EVENT_VARIABLES) if spec.message else None
        values = {name: Expression.compile(text, EVENT_VARIABLES) for name, text in (spec.input or {}).items()}
        thread_key = Expression.compile(spec.thread_key, EVENT_VARIABLES) if spec.thread_key else None
        return cls(message, values, thread_key)

    async def begin(self, runs: RunService, entry: Entry, key: str, metadata: dict[str, Any]) -> None:
        """Has the run accepted, unless it was before."""
        view = entry.event.as_json
        given = {name: await expression.evaluate(event=view) for name, expression in self.input.items()}
        if self.message is not None:
            given["messages"] = [{"role": "user", "content": await self.message.render(event=view)}]
        if self.thread_key is None:
            thread = _thread(entry, key)
        else:
            thread = _keyed_thread(entry, await self.thread_key.evaluate(event=view))
            await _take_turn(runs, thread)
        request = RunRequest(assistant_id="agent", input=given, metadata=metadata, if_not_exists="create")
        await runs.submit(thread, request, caller_of(entry, key))


@dataclass(frozen=True)
class Resume:
    """Answers what a thread waits for."""

    thread_key: Expression
    answer: Expression

    @classmethod
    def of(cls, spec: ResumeSpec) -> Resume:
        """From the spec. Raises ExpressionError."""
        return cls(
            Expression.compile(spec.thread_key, EVENT_VARIABLES), Expression.compile(spec.answer, EVENT_VARIABLES)
        )

    async def begin(self, runs: RunService, entry: Entry, key: str, metadata: dict[str, Any]) -> None:
        """Has the run accepted that goes on with the thread, unless it was before."""
        view = entry.event.as_json
        thread_id = _keyed_thread(entry, await self.thread_key.evaluate(event=view))
        thread = await runs.store.thread(thread_id)
        if thread is None:
            raise NotWaitingError("there is no thread of this key")
        if any(run.metadata.get(ANSWER) == key for run in await runs.store.runs(thread_id, None, _LAST, 0)):
            return  # delivered before
        resumption = Resumption(runs)
        standing = await resumption.standing(thread)
        if standing.busy:
            raise UnavailableError("a run of the thread has not ended", retry_after=1)
        if not standing.asked:
            raise NotWaitingError("the thread of this key waits for nothing")
        answer = await self.answer.evaluate(event=view)
        answers = {asked.id: answer for asked in standing.asked}
        try:
            await resumption.resume(thread, standing, answers, caller_of(entry, key), {**metadata, ANSWER: key})
        except ConflictError as error:
            raise UnavailableError(str(error), retry_after=0) from error


def told(event: Event, name: str) -> dict[str, str]:
    """What a run's metadata say of the event that it was begun for."""
    return {"subscription": name, "id": event.id, "source": event.source, "type": event.type}


def caller_of(entry: Entry, key: str) -> Caller:
    """The event's owner, with the trace and the hops that came with it."""
    trace = {"traceparent": entry.event.traceparent} if entry.event.traceparent else {}
    return Caller(Principal.of_owner(entry.owner), entry.event.hops, trace, key=key, once=True)


def _thread(entry: Entry, key: str) -> str:
    return Principal.of_owner(entry.owner).key(str(uuid5(_THREADS, key)))


def _keyed_thread(entry: Entry, key: Any) -> str:
    return _thread(entry, f"key:{as_text(key)}")


async def _take_turn(runs: RunService, thread_id: str) -> None:
    """Waits until a new run of the thread counts as later than its newest one.

    Runs of a thread begin by the time they were made at, which clocks of several pods may tell in another order.
    """
    newest = next(iter(await runs.store.runs(thread_id, None, 1, 0)), None)
    if newest is None or not newest.active:
        return
    ahead = (newest.created_at - now()).total_seconds()
    if ahead > _SOON:
        raise UnavailableError("the thread's newest run was made by a pod whose clock is ahead", retry_after=0)
    if ahead >= 0:
        await asyncio.sleep(ahead + 0.001)
