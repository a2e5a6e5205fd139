"""Threads and their state."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from pydantic import Field
from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.errors import ConflictError, NotFoundError
from agent_runtime.runs.executor import thread_config
from agent_runtime.runs.request import CheckpointRef
from agent_runtime.runs.service import new_thread
from agent_runtime.server.snapshots import checkpoint, snapshot
from agent_runtime.server.wire import (
    Body,
    ThreadRoute,
    agent_of,
    key_problem,
    principal_of,
    read,
    refuse_own_names,
    reply,
    reply_list,
)
from agent_runtime.state.records import THREAD_ID, Thread, ThreadQuery, ThreadStatus, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langgraph.types import StateSnapshot
    from starlette.requests import Request

    from agent_runtime.agent import Agent

_PAGE = 8


class NewThread(Body):
    thread_id: str | None = Field(default=None, pattern=THREAD_ID)
    metadata: dict[str, Any] = Field(default_factory=dict)
    if_exists: Literal["raise", "do_nothing"] = "raise"


class Search(Body):
    metadata: dict[str, Any] = Field(default_factory=dict)
    ids: tuple[str, ...] = Field(default=(), max_length=1000)
    status: ThreadStatus | None = None
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000)
    sort_by: Literal["thread_id", "status", "created_at", "updated_at"] = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
    select: tuple[str, ...] | None = None
    values: None = None


class Metadata(Body):
    metadata: dict[str, Any] = Field(default_factory=dict)


class StateUpdate(Body):
    values: Any = None
    as_node: str | None = None
    checkpoint: CheckpointRef | None = None
    checkpoint_id: str | None = None


class StateAt(Body):
    checkpoint: CheckpointRef


class History(Body):
    limit: int = Field(default=10, ge=1, le=1000)
    before: CheckpointRef | str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    checkpoint: CheckpointRef | None = None


async def create_thread(request: Request) -> Response:
    agent, body, caller = agent_of(request), await read(request, NewThread), principal_of(request)
    refuse_own_names(body.metadata)
    thread = new_thread(caller.key(body.thread_id or str(uuid4())), caller, body.metadata)
    store = agent.runs.store
    if not await store.add_thread(thread):
        if body.if_exists == "raise":
            raise ConflictError(
                f"thread {shown(thread.thread_id)} exists: use another id, or set if_exists to do_nothing"
            )
        thread = await _thread(agent, thread.thread_id)
    return reply(await describe(agent, thread))


async def search_threads(request: Request) -> Response:
    agent, body = agent_of(request), await read(request, Search)
    key_problem(body.metadata)
    caller = principal_of(request)
    query = ThreadQuery(
        body.metadata,
        tuple(caller.key(each) for each in body.ids),
        body.status,
        caller.owner,
        body.limit,
        body.offset,
        body.sort_by,
        body.sort_order == "desc",
    )
    whole = body.select is None or "values" in body.select or "interrupts" in body.select
    names = set(body.select or ())

    async def found() -> AsyncIterator[dict[str, Any]]:
        for thread in await agent.runs.store.threads(query):
            one = await describe(agent, thread) if whole else _plain(thread)
            yield {name: one[name] for name in one if name in names} if names else one

    return await reply_list(found())


async def get_thread(request: Request) -> Response:
    agent = agent_of(request)
    return reply(await describe(agent, await _thread(agent, request.path_params["thread_id"])))


async def update_thread(request: Request) -> Response:
    agent, body = agent_of(request), await read(request, Metadata)
    refuse_own_names(body.metadata)
    thread = await agent.runs.store.update_thread(request.path_params["thread_id"], body.metadata)
    if thread is None:
        raise _missing(request.path_params["thread_id"])
    return reply(await describe(agent, thread))


async def delete_thread(request: Request) -> Response:
    await agent_of(request).runs.delete_thread(request.path_params["thread_id"])
    return Response(status_code=204)


async def get_state(request: Request) -> Response:
    agent, thread_id = agent_of(request), request.path_params["thread_id"]
    await _thread(agent, thread_id)
    config = thread_config(thread_id, request.path_params.get("checkpoint_id"))
    subgraphs = request.query_params.get("subgraphs", "").lower() == "true"
    return reply(snapshot(await agent.graph.aget_state(config, subgraphs=subgraphs), thread_id))


async def get_state_at(request: Request) -> Response:
    agent, thread_id = agent_of(request), request.path_params["thread_id"]
    body = await read(request, StateAt)
    await _thread(agent, thread_id)
    state = await agent.graph.aget_state(
        thread_config(thread_id, body.checkpoint.checkpoint_id, body.checkpoint.checkpoint_ns)
    )
    return reply(snapshot(state, thread_id))


async def update_state(request: Request) -> Response:
    agent, thread_id = agent_of(request), request.path_params["thread_id"]
    body = await read(request, StateUpdate)
    at = body.checkpoint_id or (body.checkpoint.checkpoint_id if body.checkpoint else None)
    config = await agent.runs.update_state(thread_id, body.values, as_node=body.as_node, checkpoint_id=at)
    return reply({"checkpoint": checkpoint(config, thread_id)})


async def get_history(request: Request) -> Response:
    agent, thread_id = agent_of(request), request.path_params["thread_id"]
    body = await read(request, History)
    key_problem(body.metadata)
    await _thread(agent, thread_id)
    return await reply_list(snapshot(state, thread_id) async for state in _history(agent, thread_id, body))


async def _history(agent: Agent, thread_id: str, body: History) -> AsyncIterator[StateSnapshot]:
    """States from the newest on, some at a time: each may have megabytes."""
    named = body.before.checkpoint_id if isinstance(body.before, CheckpointRef) else body.before
    before = thread_config(thread_id, named) if named else None
    left = body.limit
    while left > 0:
        page = min(left, _PAGE)
        states = agent.graph.aget_state_history(
            thread_config(thread_id, body.checkpoint.checkpoint_id if body.checkpoint else None),
            filter=body.metadata or None,
            before=before,
            limit=page,
        )
        found = [state async for state in states]
        for state in found:
            yield state
        if len(found) < page:
            return
        before = found[-1].config
        left -= page


async def describe(agent: Agent, thread: Thread) -> dict[str, Any]:
    """A thread with the values of its newest checkpoint."""
    state = await agent.graph.aget_state(thread_config(thread.thread_id))
    interrupts = {task.id: list(task.interrupts) for task in state.tasks if task.interrupts}
    return {**_plain(thread), "values": state.values or None, "interrupts": interrupts}


def _plain(thread: Thread) -> dict[str, Any]:
    fields = asdict(thread)
    del fields["owner"]
    return fields | {"thread_id": shown(thread.thread_id)}


async def _thread(agent: Agent, thread_id: str) -> Thread:
    thread = await agent.runs.store.thread(thread_id)
    if thread is None:
        raise _missing(thread_id)
    return thread


def _missing(thread_id: str) -> NotFoundError:
    return NotFoundError(f"there is no thread {shown(thread_id)}")


routes = [
    Route("/threads", create_thread, methods=["POST"]),
    Route("/threads/search", search_threads, methods=["POST"]),
    ThreadRoute("/threads/{thread_id}", get_thread, methods=["GET"]),
    ThreadRoute("/threads/{thread_id}", update_thread, methods=["PATCH"]),
    ThreadRoute("/threads/{thread_id}", delete_thread, methods=["DELETE"]),
    ThreadRoute("/threads/{thread_id}/state", get_state, methods=["GET"]),
    ThreadRoute("/threads/{thread_id}/state", update_state, methods=["POST"]),
    ThreadRoute("/threads/{thread_id}/state/checkpoint", get_state_at, methods=["POST"]),
    ThreadRoute("/threads/{thread_id}/state/{checkpoint_id}", get_state, methods=["GET"]),
    ThreadRoute("/threads/{thread_id}/history", get_history, methods=["POST"]),
]
