"""Executes accepted runs: one at a time per thread, over all pods of the agent."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from langgraph.runtime import RunControl
from structlog.contextvars import bound_contextvars

from agent_runtime.errors import UnavailableError, busy
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.events import EventLog
from agent_runtime.runs.executor import Outcome
from agent_runtime.runs.leases import LeaseWatch
from agent_runtime.state.records import CALLER, Lease, Run, RunStatus, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agent_runtime.metrics import Metrics
    from agent_runtime.runs.executor import Executor
    from agent_runtime.state.store import Store

log = structlog.get_logger()

_POLL = 1.0
"""Seconds between looks for runs that no pod has taken; accepting a run here starts it at once."""
_LOOK = 0.5
"""Seconds between looks at a run that does not execute here, for a client that waits for it."""
_LONGEST_WAIT = 30.0
_SOON = 2.0
"""Seconds in which a thread without an active run has to be free."""
_SCANNED = 200
_SETTLED = 5.0
"""Seconds that writing how runs ended may take when the pod has to end."""
_LOGS_KEPT = 256
_LOG_BYTES_KEPT = 16 << 20


@dataclass
class Job:
    """A run that executes here."""

    run: Run
    lease: Lease
    events: EventLog
    control: RunControl = field(default_factory=RunControl)
    when_cancelled: RunStatus | None = "pending"
    """What becomes of the run if its task is cancelled; None if it is no longer ours."""
    task: asyncio.Task[None] | None = None
    executed: bool = False

    def cancel(self, becomes: RunStatus | None) -> None:
        """Stops the execution at its next await. A run that was executed is left to write how it ended."""
        if self.task is not None and not self.executed:
            self.executed = True
            self.when_cancelled = becomes
            self.task.cancel()


class Worker:
    """Takes runs by lease, executes them, and hands them back when the pod has to end."""

    def __init__(
        self, store: Store, executor: Executor, metrics: Metrics, *, max_runs: int, lease_timeout: float
    ) -> None:
        self._store = store
        self._executor = executor
        self._metrics = metrics
        self._slots = asyncio.Semaphore(max_runs)
        """One is held for each run; what is offered while there is none keeps its place in the queue."""
        self._beat = lease_timeout / 4
        self._watch = LeaseWatch(lease_timeout)
        self._jobs: dict[str, Job] = {}
        self._held: dict[str, Lease] = {}
        """Leases of threads on which no run executes, by token."""
        self._logs: OrderedDict[str, EventLog] = OrderedDict()
        self._offered: asyncio.Queue[str] = asyncio.Queue()
        self._loops: list[asyncio.Task[None]] = []
        self._taking: set[asyncio.Task[None]] = set()
        self._draining = False
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def start(self) -> None:
        """Begins to take runs."""
        self._loops = [asyncio.create_task(loop()) for loop in (self._claim_forever, self._renew_forever)]

    @property
    def healthy(self) -> bool:
        """Whether the loops are alive."""
        return not any(loop.done() for loop in self._loops)

    def offer(self, thread_id: str) -> None:
        """Says that a thread has a run to execute."""
        self._offered.put_nowait(thread_id)

    def job(self, run_id: str) -> Job | None:
        """The run, if it executes here."""
        return self._jobs.get(run_id)

    def events(self, run_id: str) -> EventLog | None:
        """The events of a run that executes here or did so not long ago."""
        return self._logs.get(run_id)

    async def changed(self, run_id: str) -> None:
        """Waits until the run may have gone on: it starts or ends here, or it is time to look what other pods did."""
        waiting, others = asyncio.Event(), self._waiting.setdefault(run_id, set())
        others.add(waiting)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(waiting.wait(), _LONGEST_WAIT if run_id in self._jobs else _LOOK)
        finally:
            others.discard(waiting)
            if not others:
                self._waiting.pop(run_id, None)

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
            job.cancel("pending" if self._store.durable else "interrupted")
        tasks = [job.task for job in jobs if job.task]
        if tasks:
            await asyncio.wait(tasks, timeout=_SETTLED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*self._loops, *tasks, return_exceptions=True)

    @asynccontextmanager
    async def hold(self, thread_id: str) -> AsyncIterator[None]:
        """Keeps all runs of a thread from executing meanwhile, here and in other pods.

        Raises:
            ConflictError: A run of it has not ended, or someone else holds it.
        """
        lease = Lease(thread_id, uuid4().hex)
        deadline = time.monotonic() + _SOON
        while not await self._store.claim(lease):
            # A run is seen to have ended shortly before its thread is free.
            if time.monotonic() > deadline or await self._store.first_active(thread_id):
                raise busy(shown(thread_id))
            await asyncio.sleep(_SOON / 20)
        self._held[lease.token] = lease
        try:
            if await self._store.first_active(thread_id):
                raise busy(shown(thread_id))
            yield
        finally:
            held = self._held.pop(lease.token)
            await self._store.release(held)
            self.offer(thread_id)

    @property
    def _leaves_runs(self) -> bool:
        return self._draining and self._store.durable

    async def _claim_forever(self) -> None:
        scanned = 0.0
        while True:
            await self._slots.acquire()
            thread_id: str | None = None
            with suppress(TimeoutError):
                thread_id = await asyncio.wait_for(self._offered.get(), _POLL)
            if thread_id is None or self._leaves_runs:
                self._slots.release()
            else:
                self._begin(thread_id)
            if time.monotonic() - scanned < _POLL or self._leaves_runs:
                continue
            scanned = time.monotonic()
            try:
                await self._scan()
            except UnavailableError:
                self._watch.forget()

    async def _scan(self) -> None:
        """Takes runs that nobody executes: left over by a full pod, handed back, or of a pod that died."""
        leases = {lease.thread_id: lease for lease in await self._store.leases()}
        mine = {lease.token for lease in self._own()}
        others = [lease for lease in leases.values() if lease.token not in mine]
        for lease in self._watch.dead(others, time.monotonic()):
            if await self._store.release(lease):
                log.warning("taking over from a pod that died", thread_id=lease.thread_id)
                del leases[lease.thread_id]
        for thread_id in await self._store.waiting_threads(_SCANNED, leases.keys()):
            if self._slots.locked():
                return
            await self._slots.acquire()
            self._begin(thread_id)

    def _begin(self, thread_id: str) -> None:
        """Takes the thread's next run in a task of its own, which holds a slot already."""
        task = asyncio.create_task(self._try(thread_id))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _try(self, thread_id: str) -> None:
        taken = False
        try:
            taken = await self._take(thread_id)
        except UnavailableError:
            self._watch.forget()
        finally:
            if not taken:
                self._slots.release()

    async def _take(self, thread_id: str) -> bool:
        run = await self._store.first_active(thread_id)
        lease = Lease(thread_id, uuid4().hex)
        if run is None or not await self._store.claim(lease):
            return False
        self._held[lease.token] = lease
        try:
            started = await self._store.start_run(run, lease.token)
        finally:
            lease = self._held.pop(lease.token)
        if started is None:
            # It ended between the two looks; there may be another one.
            await self._store.release(lease)
            self.offer(thread_id)
            return False
        job = Job(started, lease, EventLog())
        if self._leaves_runs:
            job.control.request_drain()
        self._jobs[started.run_id] = job
        self._logs[started.run_id] = job.events
        self._forget_logs()
        job.task = asyncio.create_task(self._work(job))
        self._notify(started.run_id)
        return True

    def _forget_logs(self) -> None:
        """Drops the events of runs that ended, the oldest first, down to what may be kept."""
        ended = [run_id for run_id in self._logs if run_id not in self._jobs]
        size = sum(self._logs[run_id].size for run_id in ended)
        while ended and (len(ended) > _LOGS_KEPT or size > _LOG_BYTES_KEPT):
            size -= self._logs.pop(ended.pop(0)).size

    async def _work(self, job: Job) -> None:
        run = job.run
        caller = run.metadata.get(CALLER, {})
        with bound_contextvars(run_id=run.run_id, thread_id=shown(run.thread_id), **caller), self._metrics.running():
            log.info("run started", attempt=run.attempt)
            begin = time.monotonic()
            outcome: Outcome | None
            try:
                try:
                    outcome = await self._executor.execute(run, job.events, job.control)
                except asyncio.CancelledError:
                    outcome = Outcome(job.when_cancelled) if job.when_cancelled else None
                job.executed = True
                duration = time.monotonic() - begin
                if outcome is not None:
                    await self._settle(job, outcome)
                    self._metrics.run_ended(outcome.status, duration)
                    error = outcome.error or {}
                    log.info(
                        "run ended",
                        status=outcome.status,
                        seconds=round(duration, 3),
                        error=error.get("error"),
                        node=outcome.node,
                        quoted=error.get("message"),
                    )
            finally:
                job.events.close()
                del self._jobs[run.run_id]
                self._slots.release()
                self._notify(run.run_id)
                self.offer(run.thread_id)

    async def _settle(self, job: Job, outcome: Outcome) -> None:
        """Writes how the run ended, however long that takes, and frees the thread."""
        while True:
            try:
                if outcome.status == "interrupted" and outcome.checkpoint is None:
                    outcome = replace(outcome, checkpoint=await self._executor.checkpoint(job.run))
                mine = await self._store.end_run(job.run, outcome.status, outcome.error, outcome.checkpoint)
                await self._store.release(job.lease)
                break
            except UnavailableError:
                await asyncio.sleep(_POLL)
        if mine and outcome.error:
            job.events.append("error", dumps(outcome.error))
        elif mine and outcome.status != "pending":
            job.events.append("end", b"null")

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._beat)
            jobs = list(self._jobs.values())
            try:
                renewed = {lease.token: lease for lease in await self._store.renew(self._own())}
            except UnavailableError:
                continue
            self._held |= {token: renewed[token] for token in self._held.keys() & renewed.keys()}
            for job in jobs:
                if lease := renewed.get(job.lease.token):
                    job.lease = lease
                elif job.run.run_id in self._jobs:
                    log.warning("another pod took the run over", run_id=job.run.run_id)
                    job.cancel(None)

    def _own(self) -> list[Lease]:
        return [*(job.lease for job in self._jobs.values()), *self._held.values()]

    def _notify(self, run_id: str) -> None:
        for waiting in self._waiting.get(run_id, ()):
            waiting.set()
