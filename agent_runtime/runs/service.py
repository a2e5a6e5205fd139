"""What clients can do with runs."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import NAMESPACE_OID, uuid4, uuid5

from langgraph.errors import InvalidUpdateError

from agent_runtime.errors import ConflictError, InputError, NotFoundError, UnavailableError
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.events import Event
from agent_runtime.runs.executor import thread_config
from agent_runtime.state.records import CALLER, OWN_PREFIX, THREAD_ID, Run, Thread, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

    from agent_runtime.auth.principal import Principal
    from agent_runtime.runs.request import RunRequest
    from agent_runtime.runs.worker import Worker
    from agent_runtime.state.store import Store

T = TypeVar("T")

_POLL = 0.5
"""Seconds between tries to reach the state, for a client that waits."""
_KEYED_ATTEMPTS = 20
"""How often a failed run may be made again with one idempotency key; then its failure is the answer."""
_TRIES = 10
"""Looks for a run that no client waits for any more, while it is just being taken, or the state is away."""
TEMPORARY = OWN_PREFIX + "temporary"
"""Marks the thread of a stateless run in its metadata."""


@dataclass(frozen=True)
class Caller:
    """What came with a request besides its body."""

    principal: Principal
    hops: int = 0
    headers: dict[str, str] | None = None
    key: str | None = None
    """Idempotency key: a second request with it joins the first one's run."""


@dataclass(frozen=True)
class RunService:
    """Accepts runs, follows them and stops them."""

    store: Store
    worker: Worker
    graph: CompiledStateGraph[Any]
    check_input: Callable[[Any], Any]
    _abandoning: set[asyncio.Task[None]] = field(default_factory=set)

    async def submit(self, thread_id: str | None, request: RunRequest, caller: Caller) -> Run:
        """Accepts a run; it is in the store before this returns. Without a thread it gets one of its own.

        Raises:
            NotFoundError: There is no such thread.
            ConflictError: The thread is busy, and the strategy is to reject.
            InputError: The input does not fit the workflow's state.
        """
        if request.command is None:
            body = request.model_copy(update={"input": self.check_input(request.input)})
        else:
            self.check_input(request.command.update)
            body = request
        own = thread_id is None
        principal = caller.principal
        thread = thread_id or principal.key(str(uuid4()))
        if not re.fullmatch(THREAD_ID, shown(thread)):
            raise InputError(
                f"the thread id {shown(thread)!r} is not valid: use letters, digits, dash, underscore and dot"
            )
        if own or request.if_not_exists == "create":
            temporary = own and request.on_completion != "keep"
            await self.store.add_thread(new_thread(thread, principal, {TEMPORARY: True} if temporary else {}))
        elif await self.store.thread(thread) is None:
            raise NotFoundError(f"there is no thread {shown(thread)}: create it first, or set if_not_exists to create")
        run_id, known = await self._by_key(thread, caller.key) if caller.key else (str(uuid4()), None)
        if known is not None:
            return known
        asked = {"body": body.model_dump(mode="json"), "hops": caller.hops, "headers": caller.headers or {}}
        run = Run(run_id, thread, asked, metadata=_told(request.metadata, principal), owner=principal.owner)
        if not await self.store.add_run(run, alone=request.multitask_strategy == "reject"):
            return await self.get(thread, run_id)
        self.worker.offer(thread)
        return run

    async def _by_key(self, thread_id: str, key: str) -> tuple[str, Run | None]:
        """The run that a key stands for, if it was made; a failed one does not count, so that it can be retried."""
        for attempt in range(_KEYED_ATTEMPTS):
            run_id = str(uuid5(NAMESPACE_OID, f"{thread_id}:{key}:{attempt}"))
            known = await self.store.run(thread_id, run_id)
            if known is None or known.status not in {"error", "timeout"}:
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
        try:
            while (current := await self._patiently(lambda: self.get(run.thread_id, run.run_id))).active:
                await self.worker.changed(run.run_id)
            if current.error is not None:
                return {"__error__": current.error}
            return await self._patiently(lambda: self._values(current))
        except NotFoundError as error:
            return {"__error__": {"error": "NotKept", "message": str(error)}}

    async def _values(self, run: Run) -> dict[str, Any]:
        """What the run ended with, or the thread's values if it never began; open interrupts under `__interrupt__`."""
        state = await self.graph.aget_state(thread_config(run.thread_id, run.checkpoint))
        if run.checkpoint and state.created_at is None:
            raise NotFoundError(f"what run {run.run_id} ended with is no longer kept")
        values = dict(state.values) if isinstance(state.values, dict) else {"value": state.values}
        return {**values, "__interrupt__": list(state.interrupts)} if state.interrupts else values

    async def events(self, run: Run, after: int = 0) -> AsyncIterator[Event]:
        """The run's events from one on. What another pod told is not known here: then the result comes at the end."""
        while True:
            if log := self.worker.events(run.run_id):
                async for event in log.read(after):
                    after = event.number
                    yield event
                    if event.name in {"end", "error"}:
                        return
            current = await self._patiently(lambda: self.store.run(run.thread_id, run.run_id))
            if current is None or not current.active:
                break
            await self.worker.changed(run.run_id)
        values = await self.wait(run)
        if error := values.get("__error__"):
            yield Event(after + 1, "error", dumps(error))
            return
        yield Event(after + 1, "values", dumps(values))
        yield Event(after + 2, "end", b"null")

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks until the state can be reached: who waits for a run also waits for the state."""
        while True:
            try:
                return await ask()
            except UnavailableError:
                await asyncio.sleep(_POLL)

    async def cancel(self, run: Run) -> None:
        """Stops a run that executes here, or has not begun.

        Raises:
            ConflictError: It has ended.
            UnavailableError: It executes in another pod.
        """
        while run.active:
            if job := self.worker.job(run.run_id):
                job.cancel("interrupted")
                return
            if run.status != "pending":
                raise UnavailableError(f"run {run.run_id} executes in another pod of the agent: try again")
            if await self.store.end_run(run, "interrupted", None):
                return
            # It began between the two looks.
            run = await self.get(run.thread_id, run.run_id)
        raise ConflictError(f"run {run.run_id} has ended already")

    def abandon(self, run: Run) -> None:
        """Stops a run whose client went away, if it waits or executes here; does not wait for that."""
        task = asyncio.create_task(self._abandon(run))
        self._abandoning.add(task)
        task.add_done_callback(self._abandoning.discard)

    async def _abandon(self, run: Run) -> None:
        for _ in range(_TRIES):
            try:
                await self.cancel(await self.get(run.thread_id, run.run_id))
                break
            except (ConflictError, NotFoundError):
                break
            except UnavailableError:
                await self.worker.changed(run.run_id)

    async def delete(self, run: Run) -> None:
        """Removes a run that has ended.

        Raises:
            ConflictError: It has not ended.
        """
        if run.active:
            raise ConflictError(f"run {run.run_id} has not ended: cancel it first")
        await self.store.delete_run(run)

    async def update_state(
        self, thread_id: str, values: Any, *, as_node: str | None, checkpoint_id: str | None
    ) -> RunnableConfig:
        """Writes to a thread's state as if a node had done so; the config of the checkpoint that this makes.

        Raises:
            NotFoundError: There is no such thread.
            ConflictError: A run of it has not ended, or another update is being written.
            InputError: The values do not fit the state, or LangGraph does not take them.
        """
        if await self.store.thread(thread_id) is None:
            raise NotFoundError(f"there is no thread {shown(thread_id)}")
        fitting = self.check_input(values)
        async with self.worker.hold(thread_id):
            try:
                config = await self.graph.aupdate_state(thread_config(thread_id, checkpoint_id), fitting, as_node)
            except InvalidUpdateError as error:
                raise InputError(f"the state can't be updated so: {error}") from error
            await self.store.update_thread(thread_id, {})
        return config

    async def delete_thread(self, thread_id: str) -> None:
        """Removes a thread with all that belongs to it.

        Raises:
            NotFoundError: There is none.
            ConflictError: A run of it has not ended.
        """
        if await self.store.thread(thread_id) is None:
            raise NotFoundError(f"there is no thread {shown(thread_id)}")
        if busy := await self.store.first_active(thread_id):
            raise ConflictError(f"thread {shown(thread_id)} is busy with run {busy.run_id}: cancel it first")
        await self.store.delete_thread(thread_id)


def new_thread(key: str, principal: Principal, metadata: Mapping[str, Any]) -> Thread:
    """A thread of a caller, kept under `key`."""
    return Thread(key, _told(metadata, principal), owner=principal.owner)


def _told(metadata: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
    """The metadata, with who made it; an anonymous caller is nobody to tell of."""
    return {**metadata, **({CALLER: principal.description} if principal.method != "anonymous" else {})}


def refuse_unfit(value: Any) -> Any:
    """For graphs of the user's own: any input but none."""
    if value is None:
        return value
    if not isinstance(value, dict | list | str):
        raise InputError("`input` must be an object, a list or a string")
    return value
