"""The end of interrupts that nobody answers in time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from agent_runtime.auth.principal import Principal
from agent_runtime.errors import AgentError, StateLostError, UnavailableError, UnreadableError
from agent_runtime.loops import Loop
from agent_runtime.runs.caller import Caller
from agent_runtime.runs.encode import plain
from agent_runtime.runs.interrupts import EXPIRY
from agent_runtime.runs.resumption import ANSWER, Resumption
from agent_runtime.state.records import ThreadQuery, now, shown
from agent_runtime.workflow.expiry import expired

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_runtime.metrics import Metrics
    from agent_runtime.runs.service import RunService
    from agent_runtime.state.interrupts import Interrupt

log = structlog.get_logger()

_LOOK = 5.0
"""Seconds between looks for what other pods noted; what was noted here, or seen before, is ended at its time."""
_SOONEST = 0.05
_AT_ONCE = 20
_CLAIMED = timedelta(seconds=30)
"""How long other pods leave an interrupt to the one that claimed it; if that one dies, they end it then."""
_SWEEP = 30.0
"""Seconds between looks for what was not noted as it happened."""
_SWEPT = 200


class Deadlines:
    """Resumes the runs of interrupts whose value says `expires_at`, at that time; a part of the agent.

    The claim keeps the pods from doing the same work. That one run alone comes of it is sure without it, and whatever
    the pods' clocks say: its id is made from the run that asked, as that of an answer is.
    """

    def __init__(self, runs: Callable[[], RunService], metrics: Metrics) -> None:
        """`runs` is asked for once the part is started."""
        self._service = runs
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._next: datetime | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._swept = ""
        self._unreadable: set[str] = set()
        """Threads of which it was said."""

    async def prepare(self) -> None:
        """Nothing: the store makes what has to be there."""

    def start(self) -> None:
        """Begins to look."""
        self._tasks = [asyncio.create_task(loop()) for loop in (self._watch, self._sweep_forever)]

    @property
    def healthy(self) -> bool:
        """Whether it still looks."""
        return not any(task.done() for task in self._tasks)

    def drain(self) -> None:
        """Goes on: a run that is resumed here begins in another pod."""

    async def close(self) -> None:
        """Ends; what is claimed here another pod ends a little later."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self, due: datetime) -> None:
        """Says that an interrupt is due at a time."""
        if self._next is None or due < self._next:
            self._wake.set()

    async def look(self) -> float:
        """Ends what is due, once; the seconds until there is more to do.

        Raises:
            UnavailableError: The state can't be reached.
        """
        found = await self._service().store.expiring(_AT_ONCE)
        moment = now()
        due = [one for one in found if one.due is not None and one.due <= moment]
        for ended in await asyncio.gather(*(self._end(one) for one in due), return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended  # when the others are through
        self._next = next((one.due for one in found if one not in due), None)
        if len(due) == _AT_ONCE:
            return _SOONEST
        if self._next is None:
            return _LOOK
        return min(_LOOK, max(_SOONEST, (self._next - now()).total_seconds()))

    async def sweep(self) -> None:
        """Notes what a pod did not note, since it died or is of an older release, in some hundred threads at a time.

        Raises:
            UnavailableError: The state can't be reached.
        """
        runs = self._service()
        for thread_id in await runs.store.unnoted_threads(_SWEPT):
            await self._refresh_if_readable(thread_id)
        asked = await runs.store.asked_threads(self._swept, _SWEPT)
        self._swept = asked[-1] if len(asked) == _SWEPT else ""
        if not asked:
            return
        threads = {one.thread_id: one for one in await runs.store.threads(ThreadQuery(ids=tuple(asked), limit=_SWEPT))}
        for thread_id in asked:
            thread = threads.get(thread_id)
            if thread is None or thread.status not in {"busy", "interrupted"}:
                await self._refresh_if_readable(thread_id)

    async def measure(self) -> None:
        """Tells the metrics what waits for people.

        Raises:
            UnavailableError: The state can't be reached.
        """
        found = await self._service().store.pending("approval")
        self._metrics.approvals_open.set(found.count)
        self._metrics.approvals_oldest.set((now() - found.since).total_seconds() if found.since else 0)

    async def _watch(self) -> None:
        loop = Loop("deadlines")
        while True:
            pause = _LOOK
            self._wake.clear()
            async with loop.turn():
                pause = await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _sweep_forever(self) -> None:
        loop = Loop("unnoted questions")
        while True:
            for turn in (self.sweep, self.measure):
                async with loop.turn():
                    await turn()
            await asyncio.sleep(_SWEEP)

    async def _refresh_if_readable(self, thread_id: str) -> None:
        try:
            await self._refresh(thread_id)
        except (UnreadableError, StateLostError) as error:
            self._leave(thread_id, error)

    def _leave(self, thread_id: str, error: AgentError) -> None:
        """Says once of each thread, which is looked at again and again, that it is left as it is."""
        if thread_id not in self._unreadable:
            self._unreadable.add(thread_id)
            log.warning("what a thread waits for can't be read", thread_id=shown(thread_id), reason=str(error))

    async def _refresh(self, thread_id: str) -> None:
        runs = self._service()
        thread = await runs.store.thread(thread_id)
        if thread is None:
            await runs.store.end_interrupts(thread_id, "closed")
        elif thread.status != "busy":
            await runs.interrupts.refresh(thread)

    async def _end(self, one: Interrupt) -> None:
        """Resumes the run of an interrupt, unless another pod does so, or its thread has gone on."""
        try:
            if await self._service().store.claim_interrupt(one, now() + _CLAIMED):
                await self._resume(one)
        except UnreadableError as error:
            self._leave(one.thread_id, error)
        except UnavailableError:
            raise
        except AgentError as error:
            log.info("an interrupt that is due is left for now", thread_id=shown(one.thread_id), reason=str(error))

    async def _resume(self, one: Interrupt) -> None:
        runs = self._service()
        thread = await runs.store.thread(one.thread_id)
        resumption = Resumption(runs)
        standing = await resumption.standing(thread) if thread is not None else None
        if standing is not None and standing.busy:
            return  # its end says what the thread waits for then
        asked = next((each for each in standing.asked if each.id == one.interrupt_id), None) if standing else None
        if thread is None or standing is None or asked is None:
            await self._refresh(one.thread_id)
            return
        mark = {EXPIRY: one.interrupt_id, ANSWER: f"{one.interrupt_id}:expiry"}
        caller = Caller(Principal.of_owner(thread.owner))
        answers = {one.interrupt_id: expired(plain(asked.value))}
        run = await resumption.resume(thread, standing, answers, caller, mark, own=True)
        log.info("nobody answered in time", thread_id=shown(one.thread_id), run_id=run.run_id, kind=one.kind)
