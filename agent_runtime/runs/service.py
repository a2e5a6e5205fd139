"""What clients can do with runs."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid4, uuid5

from langgraph.constants import END, START
from langgraph.errors import InvalidUpdateError

from agent_runtime.errors import (
    AgentError,
    ConflictError,
    InputError,
    NotFoundError,
    UnavailableError,
    UnreadableError,
)
from agent_runtime.resilience.subject import Subject
from agent_runtime.runs import at_once
from agent_runtime.runs.executor import state_at, thread_config
from agent_runtime.runs.following import Following, patiently
from agent_runtime.runs.webhooks import check_webhook
from agent_runtime.state.records import (
    CALLER,
    CANCELLED,
    OWN_PREFIX,
    THREAD_ID,
    CancelAction,
    Run,
    RunStatus,
    Thread,
    now,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

    from agent_runtime.auth.principal import Principal
    from agent_runtime.resilience.assembly import Resilience
    from agent_runtime.runs.caller import Caller
    from agent_runtime.runs.interrupts import Interrupts
    from agent_runtime.runs.quota import Quota
    from agent_runtime.runs.request import RunRequest
    from agent_runtime.runs.worker import Worker
    from agent_runtime.spec.runs import RunsSpec
    from agent_runtime.state.records import Event, Lease
    from agent_runtime.state.store import Store

_KEYED_ATTEMPTS = 20
"""How often a failed run may be made again with one idempotency key; then its failure is the answer."""
_GATHERED = 0.2
"""Seconds in which threads that nobody needs any more are gathered for one removal."""
_GOODBYE = 5.0
"""Seconds in which threads that nobody needs any more are removed when the pod ends."""
_MOST_CANCELLED = 10_000
"""Runs that are cancelled at once."""
TEMPORARY = OWN_PREFIX + "temporary"
"""Marks the thread of a stateless run in its metadata."""


@dataclass(frozen=True)
class RunService:
    """Accepts runs, follows them and stops them."""

    store: Store
    worker: Worker
    graph: CompiledStateGraph[Any]
    check_input: Callable[[Any], Any]
    quota: Quota
    resilience: Resilience
    following: Following
    interrupts: Interrupts
    bounds: RunsSpec
    _background: set[asyncio.Task[None]] = field(default_factory=set)
    _forgotten: list[str] = field(default_factory=list)
    """Threads of ended runs that go soon."""

    async def submit(
        self,
        thread_id: str | None,
        request: RunRequest,
        caller: Caller,
        *,
        admitted: bool = False,
        own: bool = False,
        waited: bool = False,
    ) -> Run:
        """Accepts a run; it is in the store before this returns. Without a thread it gets one of its own.

        `admitted` says that the quota counts it already, `own` that no caller asked for it, and no limit holds it up,
        `waited` that the caller stays until it has ended, and then has it forgotten.

        Raises:
            NotFoundError: There is no such thread, or no such checkpoint of it.
            ConflictError: The thread is busy, and the strategy is to reject.
            InputError: The input does not fit the workflow's state.
            TooManyRequestsError: Too many runs have not ended, or the caller has used up what the limits allow.
        """
        body = self.checked(request)
        alone = thread_id is None
        principal = caller.principal
        thread = thread_id or principal.key(caller.run_id or str(uuid4()))
        made = alone or request.if_not_exists == "create"
        await self._check_thread(thread, made=made)
        run_id, known = await self._named(thread, caller)
        if known is not None:
            return known
        if request.at:
            await state_at(self.graph, thread, request.at, request.within.checkpoint_ns)
        token = run_id if caller.key or caller.run_id else ""
        temporary = alone and request.on_completion != "keep"
        asked = {"body": body.model_dump(mode="json"), **caller.passed_on}
        wait = request.after_seconds or 0
        followed = request.stream_resumable and self.store.durable
        due = now() + timedelta(seconds=wait) if wait else None
        run = Run(
            run_id,
            thread,
            asked,
            metadata=_told(request.metadata, principal),
            owner=principal.owner,
            due=due,
            followed=followed,
        )
        # Made busy at once: if the run is not added after all, a temporary thread goes soon.
        new = new_thread(thread, principal, {TEMPORARY: True} if temporary else {}, busy=temporary)
        lease: Lease | None = None
        only = request.multitask_strategy == "reject"
        async with nullcontext() if own else self._admitted(principal.owner, token, counted=admitted):
            if temporary and not caller.run_id and not wait:
                fresh, lease = await at_once.add_thread(self.store, self.worker, new)
            else:
                fresh = made and await self.store.add_thread(new) and temporary
            if lease is not None:
                added = await at_once.add_run(self.store, self.worker, run, lease, alone=only, lone=waited)
            else:
                added = await self.store.add_run(run, alone=only, lone=fresh)
        if not added:
            return await self.get(thread, run_id)
        if token:
            self._in_background(self.resilience.accepted(token))
        if request.multitask_strategy in {"interrupt", "rollback"}:
            await self._preempt(run, request.multitask_strategy)
        if lease is None:
            self._offer(run, wait, fresh=fresh)
        return run

    def _offer(self, run: Run, wait: float, *, fresh: bool) -> None:
        """Has the run begin, when it is due."""
        if wait:
            self.worker.offer_later(run.thread_id, wait)
        else:
            self.worker.offer(run.thread_id, run if fresh else None)

    async def _check_thread(self, thread: str, *, made: bool) -> None:
        if not re.fullmatch(THREAD_ID, shown(thread)):
            raise InputError(
                f"the thread id {shown(thread)!r} is not valid: use letters, digits, dash, underscore and dot"
            )
        if not made and await self.store.thread(thread) is None:
            raise NotFoundError(f"there is no thread {shown(thread)}: create it first, or set if_not_exists to create")

    def checked(self, request: RunRequest) -> RunRequest:
        """The request with its input as the graph takes it. Raises InputError."""
        if request.webhook is not None:
            check_webhook(request.webhook, self.bounds.webhooks)
        command = request.command
        if command is None:
            return request.model_copy(update={"input": self.check_input(request.input)})
        if request.input:
            raise InputError("`input` and `command` don't go together: leave one of them out")
        if command.resume is None and command.update is None and not command.targets:
            raise InputError("`command` must have a `resume`, `update` or `goto` that is not null")
        if unknown := [name for name in command.targets if name not in {*self.graph.nodes, END} - {START}]:
            raise InputError(f"`command.goto`: there is no node {unknown[0]}")
        self.check_input(command.update)
        return request

    @asynccontextmanager
    async def _admitted(self, owner: str, token: str, *, counted: bool) -> AsyncIterator[None]:
        """Lets a run in, by the quota unless that has `counted` it, and by the limits."""
        async with nullcontext() if counted else self.quota.admitted(owner):
            await self.resilience.admit(Subject.of_owner(owner), token)
            yield

    async def submit_many(self, asked: Sequence[tuple[str | None, RunRequest]], caller: Caller) -> list[Run]:
        """Accepts several runs, or none of them. Raises as `submit`."""
        accepted: list[Run] = []
        async with self.quota.admitted(caller.principal.owner, len(asked)) as added:
            try:
                for thread_id, request in asked:
                    accepted.append(await self.submit(thread_id, request, caller, admitted=True))
                    added()
            except AgentError:
                await self.cancel_many(accepted, "rollback")
                raise
        return accepted

    async def _preempt(self, run: Run, action: CancelAction) -> None:
        """Cancels the runs before this one, which begins when they have ended."""
        active = await self.store.active_runs(run.thread_id)
        ids = [one.run_id for one in active]
        before = active[: ids.index(run.run_id)] if run.run_id in ids else []
        await self.cancel_many(before, action)

    async def _named(self, thread_id: str, caller: Caller) -> tuple[str, Run | None]:
        """What the run is to be called, and the run that is called so already."""
        if caller.run_id is not None:
            return caller.run_id, await self.store.run(thread_id, caller.run_id)
        return await self._by_key(thread_id, caller) if caller.key else (str(uuid4()), None)

    async def _by_key(self, thread_id: str, caller: Caller) -> tuple[str, Run | None]:
        """The run that a key stands for, if it was made; one that failed or was cancelled by A2A does not count."""
        for attempt in range(1 if caller.once else _KEYED_ATTEMPTS):
            run_id = str(uuid5(NAMESPACE_OID, f"{thread_id}:{caller.key}:{attempt}"))
            known = await self.store.run(thread_id, run_id)
            if known is None or not _undone(known):
                break
        return run_id, known

    async def get(self, thread_id: str, run_id: str) -> Run:
        """The run.

        Raises:
            NotFoundError: There is none.
        """
        run = await self.store.run(thread_id, run_id)
        if run is None:
            raise NotFoundError(f"there is no run {run_id} in thread {shown(thread_id)}")
        return run

    async def wait(self, run: Run) -> dict[str, Any]:
        """The values that the run ended with, wherever it executes; or its error under `__error__`."""
        return await self.following.wait(run)

    def events(self, run: Run, after: int = 0) -> AsyncIterator[Event]:
        """The run's events from one on."""
        return self.following.events(run, after)

    async def cancel(self, run: Run, action: CancelAction = "interrupt") -> None:
        """Has the run stop, wherever it executes; it has ended when `wait` returns.

        Raises:
            ConflictError: It has ended.
        """
        asked = await self.store.request_cancel(run, action)
        if asked is None:
            raise ConflictError(f"run {run.run_id} has ended already")
        if job := self.worker.job(run.run_id):
            job.cancel(action)
        elif await self.worker.settlement.end_waiting(asked, action):
            self.worker.told(asked)
        else:
            self.worker.offer(run.thread_id)

    async def cancel_many(self, runs: Iterable[Run], action: CancelAction) -> None:
        """Cancels those of the runs that have not ended; one that can't be read ends when it can."""
        for run in runs:
            with suppress(ConflictError, UnreadableError):
                await self.cancel(run, action)

    async def chosen(
        self, caller: Principal, thread_id: str | None, run_ids: Sequence[str], statuses: Collection[RunStatus]
    ) -> list[Run]:
        """A caller's runs: those named, those of a thread, or those of some statuses.

        Raises:
            NotFoundError: A run that is named is not there.
        """
        if thread_id is not None and run_ids:
            # Lists have those too that can't be read.
            active = {run.run_id: run for run in await self.store.active_runs(thread_id)}
            return [active.get(run_id) or await self.get(thread_id, run_id) for run_id in run_ids]
        if thread_id is not None:
            return [run for run in await self.store.active_runs(thread_id) if run.status in statuses]
        found = await self.store.active_runs_of(caller.owner, statuses, _MOST_CANCELLED)
        if missing := set(run_ids) - {run.run_id for run in found}:
            raise NotFoundError(f"you have no active run {min(missing)}")
        return [run for run in found if not run_ids or run.run_id in run_ids]

    def abandon(self, run: Run) -> None:
        """Stops a run whose client went away; does not wait for that."""
        self._in_background(self._abandon(run))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        async def quietly() -> None:
            with suppress(UnavailableError):  # then a sweep does it
                await work

        task = asyncio.create_task(quietly())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """Ends what it does in the background."""
        if self._background:
            await asyncio.wait(self._background, timeout=_GOODBYE)

    async def _abandon(self, run: Run) -> None:
        with suppress(ConflictError):
            await patiently(lambda: self.cancel(run))

    async def delete(self, run: Run) -> None:
        """Removes a run that executes nowhere.

        Raises:
            ConflictError: It executes.
        """
        if not run.active or run.attempt == 0:
            if await self.store.delete_run(run):
                self.worker.told(run)
                return
            run = await self.get(run.thread_id, run.run_id)
        raise ConflictError(f"run {run.run_id} has not ended: cancel it first")

    async def update_state(
        self, thread_id: str, values: Any, *, as_node: str | None, checkpoint_id: str | None, namespace: str = ""
    ) -> RunnableConfig:
        """Writes to a thread's state as if a node had done so; the config of the checkpoint that this makes.

        `namespace` is that of a graph within the graph.

        Raises:
            NotFoundError: There is no such thread, or no such checkpoint of it.
            ConflictError: A run of it has not ended, or another update is being written.
            InputError: The values do not fit the state, or LangGraph does not take them.
        """
        if await self.store.thread(thread_id) is None:
            raise NotFoundError(f"there is no thread {shown(thread_id)}")
        fitting = values if namespace else self.check_input(values)
        if checkpoint_id or namespace:
            await state_at(self.graph, thread_id, checkpoint_id, namespace)
        at = thread_config(thread_id, checkpoint_id, namespace)
        async with self.worker.hold(thread_id):
            try:
                config = await self.graph.aupdate_state(at, fitting, as_node)
            except (InvalidUpdateError, ValueError) as error:
                raise InputError(f"the state can't be updated so: {error}") from error
            if (thread := await self.store.update_thread(thread_id, {})) is not None:
                await self.interrupts.refresh(thread)
        return config

    def forget(self, run: Run) -> None:
        """Removes the thread that was made for this run alone; does not wait for that."""
        self.worker.settlement.leavings.removed(run.thread_id)
        if not self._forgotten:
            self._in_background(self._forget())
        self._forgotten.append(run.thread_id)

    async def _forget(self) -> None:
        await asyncio.sleep(_GATHERED)
        gone = self._forgotten.copy()
        self._forgotten.clear()
        await self.store.delete_threads(gone)

    async def delete_thread(self, thread_id: str) -> None:
        """Removes a thread with all that belongs to it.

        Raises:
            NotFoundError: There is none.
            ConflictError: A run of it has not ended.
        """
        if await self.store.thread(thread_id) is None:
            raise NotFoundError(f"there is no thread {shown(thread_id)}")
        if active := await self.store.active_runs(thread_id):
            raise ConflictError(f"thread {shown(thread_id)} is busy with run {active[0].run_id}: cancel it first")
        await self.store.delete_thread(thread_id)


def _undone(run: Run) -> bool:
    cancelled = run.status == "interrupted" and CANCELLED in run.metadata
    return cancelled or run.status in {"error", "timeout"}


def new_thread(key: str, principal: Principal, metadata: Mapping[str, Any], *, busy: bool = False) -> Thread:
    """A thread of a caller, kept under `key`; `busy` where it is made for a run."""
    return Thread(key, _told(metadata, principal), owner=principal.owner, status="busy" if busy else "idle")


def _told(metadata: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
    """The metadata, with who made it; an anonymous caller is nobody to tell of."""
    return {**metadata, **({CALLER: principal.description} if principal.method != "anonymous" else {})}
