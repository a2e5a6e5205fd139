"""Tasks as runs: a message begins a run or answers one that asks, and the run tells where its task is."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from agent_runtime.a2a.content import channels_of, given_by, resumed_by
from agent_runtime.a2a.errors import (
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from agent_runtime.a2a.protocol import TaskState
from agent_runtime.a2a.task import MESSAGE, Task, key_of
from agent_runtime.errors import ConflictError, StateLostError, UnavailableError, UnreadableError
from agent_runtime.runs.request import CommandRequest, RunRequest
from agent_runtime.runs.spoken import MODES
from agent_runtime.state.records import CANCELLED, TASK, RunQuery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from agent_runtime.a2a.protocol import ListRequest, PushConfig, SendRequest
    from agent_runtime.agent import Agent
    from agent_runtime.auth.principal import Principal
    from agent_runtime.runs.caller import Caller
    from agent_runtime.state.records import Run

_TOKEN = re.compile("[0-9]{0,9}")
_LONGEST_CHAIN = 100
"""Answers that a task takes."""
_SCANNED = 1000
"""Tasks that one listing looks at; the next page goes on behind them."""
_BATCH = 50
_SOON = 5.0
"""Seconds that who cancels a task waits for its end."""


@dataclass(frozen=True)
class Page:
    """Some of the tasks of a caller."""

    tasks: list[Task]
    token: str
    total: int


class Tasks:
    """What clients can do with an agent's tasks. A caller's tasks are as if they were not there for any other."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def send(self, request: SendRequest, caller: Caller, *, streams: bool) -> Task:
        """Takes a message; a second one that is the same joins what the first one began.

        Raises:
            A2AError: The message does not fit the agent, or the task it is for.
            AgentError: As `RunService.submit`.
        """
        push = request.configuration.task_push_notification_config
        if push is not None:
            self._agent.pushes.check(push)
        if self._agent.draining and not self._agent.store.durable:
            raise UnavailableError("the pod is about to end: send the request to another one")
        message, principal = request.message, caller.principal
        key = key_of(message)
        modes: Any = MODES if streams or request.configuration.return_immediately else ["custom"]
        if message.task_id:
            task = await self._answer(request, caller, key, modes)
            return task if push is None else await self._pushed(task, push, principal)
        given = given_by(message, await channels_of(self._agent))
        # The same message finds the same context again, also where its sender names none.
        context = message.context_id or str(uuid5(NAMESPACE_OID, f"{principal.owner}:{key}"))
        asked = RunRequest(
            assistant_id="agent",
            input=given,
            metadata={TASK: "", MESSAGE: key},
            if_not_exists="create",
            stream_mode=modes,
        )
        run = await self._agent.runs.submit(principal.key(context), asked, replace(caller, key=key))
        task = await self._task(run, principal)
        return task if push is None else await self._pushed(task, push, principal)

    async def get(self, task_id: str, principal: Principal) -> Task:
        """The task.

        Raises:
            StateLostError: What it ended with is gone.
            TaskNotFoundError: The caller has none of this id.
            UnreadableError: It can't be read.
        """
        found = await self._agent.runs.store.find_runs(RunQuery(principal.owner, {TASK: ""}, run_id=task_id))
        if not found:
            raise TaskNotFoundError(f"there is no task {task_id}")
        task = await self._task(found[0], principal)
        if task.unreadable:
            raise UnreadableError(task.unreadable)
        return task

    async def list(self, asked: ListRequest, principal: Principal) -> Page:
        """Tasks of the caller, by the last change of the run that began them.

        Raises:
            InvalidParamsError: The page's token is none that was given out.
        """
        if not _TOKEN.fullmatch(asked.page_token):
            raise InvalidParamsError("pageToken: take the nextPageToken of an answer")
        offset = int(asked.page_token or 0)
        store = self._agent.runs.store
        thread = principal.key(asked.context_id) if asked.context_id else None
        query = RunQuery(principal.owner, {TASK: ""}, thread_id=thread, limit=_BATCH)
        total = await store.count_runs(query)
        found: list[Task] = []
        last = min(total, offset + _SCANNED)
        while offset < last and len(found) < asked.page_size:
            roots = await store.find_runs(replace(query, offset=offset))
            for run in roots:
                offset += 1
                task = await self._listed(run, principal, whole=asked.include_artifacts)
                if _fits(task, asked.status, asked.status_timestamp_after):
                    found.append(task)
                if len(found) == asked.page_size:
                    break
            if not roots:
                break
        return Page(found, str(offset) if offset < total else "", total)

    async def cancel(self, task_id: str, principal: Principal) -> Task:
        """Ends a task that has not ended; what it is after that, or after a short while.

        Raises:
            TaskNotCancelableError: It has ended.
            TaskNotFoundError: There is none.
        """
        task = await self.get(task_id, principal)
        if task.state.terminal:
            raise TaskNotCancelableError(f"task {task_id} has ended: {task.state}")
        # Told before the run ends, so that a question it ends with is not taken for an open one.
        await self._agent.runs.store.update_run(task.newest, {CANCELLED: True})
        with suppress(ConflictError):
            await self._agent.runs.cancel(task.newest)
            with suppress(TimeoutError):
                async with asyncio.timeout(_SOON):
                    await self._agent.runs.wait(task.newest)
        waited = not task.state.active
        task = await self.get(task_id, principal)
        if waited:
            # No run ends with it that would tell.
            await self._tell(task)
        return task

    async def finished(self, task: Task, principal: Principal) -> Task:
        """The task when the agent is no longer at it."""
        while task.state.active:
            await self._agent.runs.wait(task.newest)
            task = await self.get(task.id, principal)
        return task

    async def events(self, task: Task) -> AsyncIterator[tuple[str, bytes]]:
        """Names and data of what the task's newest run tells."""
        async for event in self._agent.runs.events(task.newest):
            yield event.name, event.data

    async def set_push(self, config: PushConfig, principal: Principal) -> PushConfig:
        """Keeps where to send word of a task, and sends it at once where the agent is no longer at it.

        Raises:
            A2AError: There is no such task, or the address is none that the agent may call.
        """
        self._agent.pushes.check(config)
        task = await self.get(config.task_id, principal)
        kept = await self._agent.pushes.set(task, config)
        # Read anew: a run that ended meanwhile did not know of it.
        task = await self.get(task.id, principal)
        if not task.state.active:
            await self._tell(task, kept.id)
        return kept

    async def _pushed(self, task: Task, push: PushConfig, principal: Principal) -> Task:
        await self.set_push(push.model_copy(update={"task_id": task.id}), principal)
        return task

    async def _tell(self, task: Task, identifier: str = "") -> None:
        if self._agent.webhooks is not None:
            for hook in self._agent.pushes.now(task, identifier):
                await self._agent.webhooks.deliver(hook)

    async def _answer(self, request: SendRequest, caller: Caller, key: str, modes: Any) -> Task:
        """Takes the answer to what a task asks."""
        message = request.message
        task = await self.get(message.task_id, caller.principal)
        if message.context_id and message.context_id != task.context_id:
            raise InvalidParamsError(f"contextId: task {task.id} is of the context {task.context_id}")
        if task.has(key):
            return task
        if task.state is not TaskState.INPUT_REQUIRED:
            raise UnsupportedOperationError(
                f"task {task.id} takes no message now: {task.state}; leave out taskId to begin another one"
            )
        asked = RunRequest(
            assistant_id="agent",
            command=CommandRequest(resume=resumed_by(message, task.interrupts)),
            metadata={TASK: task.id, MESSAGE: key},
            multitask_strategy="reject",
            stream_mode=modes,
        )
        try:
            run = await self._agent.runs.submit(task.newest.thread_id, asked, replace(caller, key=f"{task.id}:{key}"))
        except ConflictError as error:
            raise UnsupportedOperationError(str(error)) from error
        return Task((*task.runs, run), {}) if run.active else await self.get(task.id, caller.principal)

    async def _task(self, root: Run, principal: Principal) -> Task:
        """The task that a run began."""
        runs = await self._runs(root, principal)
        return Task(runs, await self._values(runs[-1]))

    async def _listed(self, root: Run, principal: Principal, *, whole: bool) -> Task:
        """A task among others; not `whole` without what it ended with, as far as its state can be told so."""
        runs = await self._runs(root, principal)
        newest = runs[-1]
        if not (whole or newest.status == "interrupted"):
            return Task(runs, {})
        try:
            return Task(runs, await self._values(newest))
        except (UnreadableError, StateLostError) as error:
            return Task((*runs[:-1], replace(newest, unreadable=str(error))), {})

    async def _runs(self, root: Run, principal: Principal) -> tuple[Run, ...]:
        """The runs of the task that a run began."""
        if root.status != "interrupted":
            # Only a run that asked for something was gone on with.
            return (root,)
        query = RunQuery(principal.owner, {TASK: root.run_id}, thread_id=root.thread_id, limit=_LONGEST_CHAIN)
        found = await self._agent.runs.store.find_runs(query)
        return (root, *sorted(found, key=lambda run: run.created_at))

    async def _values(self, run: Run) -> dict[str, Any]:
        """What a run ended with; nothing of one that did not, or that failed."""
        if run.unreadable or run.active or run.error:
            return {}
        values = await self._agent.runs.following.result(run)
        return {} if "__error__" in values else values


def _fits(task: Task, status: str | None, after: datetime | None) -> bool:
    if status not in {None, TaskState.UNSPECIFIED, task.state}:
        return False
    return after is None or task.newest.updated_at >= after
