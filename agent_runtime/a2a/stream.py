"""What a task's stream tells, as the protocol's stream responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_runtime.a2a.protocol import TaskState
from agent_runtime.a2a.task import artifact, timestamp
from agent_runtime.runs.spoken import Spoken
from agent_runtime.state.records import now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agent_runtime.a2a.task import Task
    from agent_runtime.a2a.tasks import Tasks
    from agent_runtime.auth.principal import Principal


async def responses(
    tasks: Tasks, task: Task, principal: Principal, silent: frozenset[str]
) -> AsyncIterator[dict[str, Any]]:
    """The task as it is, then what happens to it until the agent is no longer at it."""
    yield {"task": task.as_json()}
    if not task.state.active:
        return
    about = {"taskId": task.id, "contextId": task.context_id}
    spoken, whole = Spoken(silent), set[str]()
    working = task.state is TaskState.WORKING
    async for name, data in tasks.events(task):
        if not working:
            working = True
            yield {"statusUpdate": {**about, "status": {"state": TaskState.WORKING, "timestamp": timestamp(now())}}}
        for piece in spoken.pieces(name, data):
            if piece.last:
                whole.add(piece.identifier)
            told = artifact(piece.identifier, piece.text)
            yield {"artifactUpdate": {**about, "artifact": told, "append": piece.more, "lastChunk": piece.last}}
    ended = await tasks.finished(task, principal)
    for found in ended.artifacts():
        if found["artifactId"] not in whole:
            yield {"artifactUpdate": {**about, "artifact": found, "append": False, "lastChunk": True}}
    yield {"statusUpdate": {**about, "status": ended.status()}}
