"""Executes accepted runs: one at a time per thread, over all pods of the agent."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from structlog.contextvars import bound_contextvars

from agent_runtime.background import finish
from agent_runtime.errors import FencedError, UnavailableError, UnreadableError, busy
from agent_runtime.loops import Loop
from agent_runtime.runs.event_logs import EventLogs
from agent_runtime.runs.events import EventLog
from agent_runtime.runs.executor import Outcome
from agent_runtime.runs.heartbeat import Heartbeat
from agent_runtime.runs.job import Job
from agent_runtime.runs.journal import Journal
from agent_runtime.runs.leases import LeaseWatch
from agent_runtime.runs.lookout import Changes, Lookout
from agent_runtime.runs.settlement import Settled
from agent_runtime.runs.traced import link_resumed, traced
from agent_runtime.state import fence
from agent_runtime.state.records import CALLER, Glimpse, Lease, Run, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agent_runtime.metrics import Metrics
    from agent_runtime.runs.executor import Executor
    from agent_runtime.runs.settlement import Settlement
    from agent_runtime.state.store import Store
    from agent_runtime.tracing.spans import Tracing

log = structlog.get_logger()

_POLL = 1.0
"""Seconds between looks for runs that no pod has taken; accepting a run here starts it at once."""
_SOON = 2.0
"""Seconds in which a thread without an active run has to be free."""
_SCANNED = 200
_SETTLED = 5.0
"""Seconds that writing how runs ended may take when the pod has to end."""


@dataclass(frozen=True)
class Offer:
    """A thread with a run to execute."""

    thread_id: str
    first: Run | None = None
    """The run, where there can't be another one before it."""


class Worker:
    """Takes runs by lease, executes them, and hands them back when the pod has to end."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        settlement: Settlement,
        metrics: Metrics,
        *,
        max_runs: int,
        lease_timeout: float,
        tracing: Tracing | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._store = store
        self._executor = executor
        self._metrics = metrics
        self._tracing = tracing
        self._slots = asyncio.Semaphore(max_runs)
        """One is held for each run; what is offered while there is none keeps its place in the queue."""
        self._heartbeat = Heartbeat(store.renewer(), lease_timeout / 4, self._on_lost)
        self._watch = LeaseWatch(lease_timeout)
        self._jobs: dict[str, Job] = {}
        self._logs = EventLogs()
        self._offered: asyncio.Queue[Offer] = asyncio.Queue()
        self._expected: Counter[str] = Counter()
        """Threads that are offered, or being taken."""
        self._loops: list[asyncio.Task[None]] = []
        self._taking: set[asyncio.Task[None]] = set()
        self._draining = False
        self._context = copy_context()
        """What runs execute in, wherever they are begun: nothing of a request."""
        self._journal = Journal(store)
        self._lookout = Lookout(store, self._jobs.keys, self._asked)
        self.settlement = settlement

    def start(self) -> None:
        """Begins to take runs."""
        self._heartbeat.start()
        self._loops = [asyncio.create_task(loop()) for loop in (self._claim_forever, self._lookout.look_forever)]

    @property
    def healthy(self) -> bool:
        """Whether it takes runs, and keeps those that it has."""
        return self._heartbeat.healthy and not any(loop.done() for loop in self._loops)

    def offer(self, thread_id: str, first: Run | None = None) -> None:
        """Says that a thread has a run to execute; of a thread that was made for a run, this is the `first`."""
        self._expected[thread_id] += 1
        self._offered.put_nowait(Offer(thread_id, first))

    async def reserve(self, thread_id: str) -> Lease | None:
        """Takes a thread that is being made for a run, if the run can begin here at once; for `begin` or `leave`."""
        if self._slots.locked() or not self._offered.empty() or self._draining:
            return None
        await self._slots.acquire()  # does not wait
        lease: Lease | None = None
        try:
            if lease := await self._store.claim(thread_id, new=True):
                self._heartbeat.add(lease)
        finally:
            if lease is None:
                self._slots.release()
        return lease

    def begin(self, run: Run, lease: Lease, *, lone: bool) -> None:
        """Executes a run that was added as begun under a lease that was reserved for it; `lone` as in `Job`."""
        self._context.copy().run(self._execute_under, run, lease, new=True, lone=lone)

    async def leave(self, lease: Lease) -> None:
        """Gives up a lease that was reserved for a run; if that is there after all, it is taken like any other."""
        self._heartbeat.remove(lease)
        self._slots.release()
        with suppress(UnavailableError):  # then it is taken over, as those of a pod that died
            await self._store.release(lease)

    def expects(self, thread_id: str) -> bool:
        """Whether the thread's next run is about to begin here, or to be left to another pod."""
        return thread_id in self._expected

    def offer_later(self, thread_id: str, seconds: float) -> None:
        """As `offer`, after some time."""
        self._loop.call_later(seconds, self.offer, thread_id)

    def told(self, run: Run) -> None:
        """Says that a run ended, or was removed, without being executed."""
        self._lookout.notify(run.run_id)
        self.offer(run.thread_id)

    def job(self, run_id: str) -> Job | None:
        """The run, if it executes here."""
        return self._jobs.get(run_id)

    def events(self, run_id: str) -> EventLog | None:
        """The events of a run that executes here or did so not long ago."""
        return self._logs.get(run_id)

    def watching(self, run_id: str) -> AbstractContextManager[Changes]:
        """Tells inside when the run may have gone on, wherever it executes."""
        return self._lookout.watching(run_id)

    def drain(self) -> None:
        """Leaves runs to other pods, the running ones after their superstep; where there are none, ends them."""
        self._draining = True
        if self._leaves_runs:
            for job in self._jobs.values():
                job.control.request_drain()

    async def close(self) -> None:
        """Hands back what still runs."""
        self._draining = True
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._taking, return_exceptions=True)
        jobs = list(self._jobs.values())
        for job in jobs:
            job.stop("pending" if self._store.durable else "interrupted")
        await finish([job.task for job in jobs if job.task], _SETTLED)
        await asyncio.gather(*self._loops, return_exceptions=True)
        await asyncio.gather(self._journal.close(_SETTLED), self.settlement.leavings.close(_SETTLED))
        await asyncio.to_thread(self._heartbeat.stop)

    @asynccontextmanager
    async def hold(self, thread_id: str) -> AsyncIterator[None]:
        """Keeps all runs of a thread from executing meanwhile, here and in other pods.

        Raises:
            ConflictError: A run of it has not ended, or someone else holds it.
        """
        deadline = time.monotonic() + _SOON
        while (lease := await self._store.claim(thread_id)) is None:
            # A run is seen to have ended shortly before its thread is free.
            if time.monotonic() > deadline or await self._store.first_active(thread_id):
                raise busy(shown(thread_id))
            await asyncio.sleep(_SOON / 20)
        self._heartbeat.add(lease)
        try:
            if await self._store.first_active(thread_id):
                raise busy(shown(thread_id))
            with fence.holding(lease.epoch):
                yield
        finally:
            self._heartbeat.remove(lease)
            await self._store.release(lease)
            self.offer(thread_id)

    @property
    def _leaves_runs(self) -> bool:
        return self._draining and self._store.durable

    async def _claim_forever(self) -> None:
        scanned, loop = 0.0, Loop("queue", _POLL)
        while True:
            await self._slots.acquire()
            offer: Offer | None = None
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    offer = await self._offered.get()
            if offer is not None and not self._leaves_runs:
                self._begin(offer)
            else:
                self._slots.release()
                if offer is not None:
                    self._expect_no_more(offer.thread_id)
            if time.monotonic() - scanned < _POLL or self._leaves_runs:
                continue
            scanned = time.monotonic()
            async with loop.turn():
                try:
                    await self._scan()
                except UnavailableError:
                    self._watch.forget()

    async def _scan(self) -> None:
        """Takes runs that nobody executes: left over by a full pod, handed back, or of a pod that died."""
        leases = {lease.thread_id: lease for lease in await self._store.leases()}
        mine = self._heartbeat.tokens
        others = [lease for lease in leases.values() if lease.token not in mine]
        for lease in self._watch.dead(others, time.monotonic()):
            if await self._store.release(lease):
                log.warning("taking over from a pod that died", thread_id=lease.thread_id)
                del leases[lease.thread_id]
        for thread_id in await self._store.waiting_threads(_SCANNED, leases.keys()):
            if self._slots.locked():
                return
            if self.expects(thread_id):
                continue
            await self._slots.acquire()
            self._expected[thread_id] += 1
            self._begin(Offer(thread_id))

    def _expect_no_more(self, thread_id: str) -> None:
        self._expected[thread_id] -= 1
        if not self._expected[thread_id]:
            del self._expected[thread_id]

    def _begin(self, offer: Offer) -> None:
        """Takes the thread's next run in a task of its own, which holds a slot already."""
        task = asyncio.create_task(self._try(offer))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _try(self, offer: Offer) -> None:
        taken = False
        try:
            taken = await self._take(offer)
        except UnreadableError:
            pass  # its thread alone waits; whose leases live is seen as before
        except UnavailableError:
            self._watch.forget()
        finally:
            self._expect_no_more(offer.thread_id)
            if not taken:
                self._slots.release()

    async def _take(self, offer: Offer) -> bool:
        thread_id = offer.thread_id
        run = offer.first or await self._store.first_active(thread_id)
        lease = await self._store.claim(thread_id, new=offer.first is not None) if run else None
        if run is None or lease is None:
            return False
        self._heartbeat.add(lease)
        started: Run | None = None
        try:
            started = await self._store.start_run(run, lease.epoch)
        finally:
            if started is None:
                self._heartbeat.remove(lease)
        if started is None:
            # It ended between the two looks; there may be another one.
            if offer.first is None:
                await self._store.release(lease)
                self.offer(thread_id)
            else:
                # Another pod has executed it, and may have removed its thread, which nothing may then be left of.
                await self._store.release(lease, gone=await self._store.thread(thread_id) is None)
            return False
        self._execute_under(started, lease, new=offer.first is not None and started.attempt == 1)
        return True

    def _execute_under(self, run: Run, lease: Lease, *, new: bool, lone: bool = False) -> None:
        """Executes a run in a task of its own, which holds a slot already; `new` and `lone` as in `Job`."""
        job = Job(run, lease, EventLog(run.attempt), new, lone)
        if self._leaves_runs:
            job.control.request_drain()
        self._jobs[run.run_id] = job
        self._logs.add(run.run_id, job.events)
        if run.followed:
            self._journal.keep(job)
        job.task = asyncio.create_task(self._work(job))
        self._lookout.begin()
        self._lookout.notify(run.run_id)

    async def _work(self, job: Job) -> None:
        run = job.run
        caller = run.metadata.get(CALLER, {})
        with (
            bound_contextvars(run_id=run.run_id, thread_id=shown(run.thread_id), **caller),
            self._metrics.running(),
            traced(self._tracing, run) as span,
        ):
            log.info("run started", attempt=run.attempt)
            begin = time.monotonic()
            settled = Settled(None, followed_by=True)
            try:
                outcome = await self._execute(job)
                job.executed = True
                duration = time.monotonic() - begin
                if outcome is not None:
                    settled = await self.settlement.settle(job, outcome)
                    self._metrics.run_ended(outcome.status, duration)
                    error = outcome.error or {}
                    span.note({"apm.run.status": outcome.status})
                    if error:
                        span.fail(error["error"])
                    log.info(
                        "run ended",
                        status=outcome.status,
                        seconds=round(duration, 3),
                        error=error.get("error"),
                        node=outcome.node,
                        quoted=error.get("message"),
                    )
            except FencedError:
                log.warning("another pod took the run over")
                await self._free(job)
            except Exception:
                log.exception("the end of a run can't be written")
                await self._free(job)
            finally:
                job.events.close()
                self._logs.end(run.run_id)
                self._heartbeat.remove(job.lease)
                del self._jobs[run.run_id]
                self._slots.release()
                self._lookout.notify(run.run_id, settled.result)
                if settled.followed_by:
                    self.offer(run.thread_id)

    async def _free(self, job: Job) -> None:
        """Lets the run be begun anew, if it is still ours."""
        with suppress(UnavailableError):
            await self._store.release(job.lease)

    async def _execute(self, job: Job) -> Outcome | None:
        """How the execution ended; None if the run is no longer ours."""
        if job.run.cancel is not None and not self._executor.exhausted(job.run):
            # A client asked for it before the run was begun, or while a pod had it that died.
            job.roll_back = job.run.cancel == "rollback"
            return Outcome("interrupted")
        try:
            with fence.holding(job.run.epoch, new=job.new):
                await link_resumed(self._store, job.run)
                return await self._executor.execute(job.run, job.events, job.control)
        except asyncio.CancelledError:
            return Outcome(job.when_cancelled) if job.when_cancelled else None

    def _on_lost(self, lost: list[Lease]) -> None:
        """In the heartbeat's thread: ends what executes here although somebody else has its thread."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._give_up, {lease.token for lease in lost})

    def _give_up(self, lost: set[str]) -> None:
        for job in list(self._jobs.values()):
            if job.lease.token in lost and not job.executed:
                log.warning("another pod took the run over", run_id=job.run.run_id)
                job.stop(None)

    def _asked(self, run_id: str, glimpse: Glimpse) -> None:
        """Does what a client asked another pod for."""
        if (job := self._jobs.get(run_id)) is None:
            return
        if glimpse.cancel is not None:
            job.cancel(glimpse.cancel)
        if glimpse.followed:
            self._journal.keep(job)
