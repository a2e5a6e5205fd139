"""Threads and their state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from pydantic import Field
from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.errors import (
    AgentError,
    ConflictError,
    InputError,
    NotFoundError,
    StateLostError,
    UnreadableError,
)
from agent_runtime.runs.executor import state_at, thread_config
from agent_runtime.runs.request import CheckpointRef
from agent_runtime.runs.service import new_thread
from agent_runtime.runs.supersteps import Superstep, write_supersteps
from agent_runtime.server.lists import paged
from agent_runtime.server.select import named, selected
from agent_runtime.server.snapshots import checkpoint, snapshot
from agent_runtime.server.wire import (
    Body,
    ThreadRoute,
    Unsupported,
    agent_of,
    key_problem,
    principal_of,
    read,
    refuse_own_names,
    reply,
    reply_list,
)
from agent_runtime.spec.size import exceeds
from agent_runtime.state.records import THREAD_ID, Thread, ThreadQuery, ThreadStatus, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langgraph.types import StateSnapshot
    from starlette.requests import Request

    from agent_runtime.agent import Agent

_PAGE = 8
"""States that are read at a time; each may have megabytes."""
_THREADS = 20
"""Likewise threads, whose metadata may have one."""
_LARGEST_METADATA = 1 << 20
"""Bytes of a thread's metadata, over all changes of them."""


class NewThread(Body):
    thread_id: str | None = Field(default=None, pattern=THREAD_ID)
    metadata: dict[str, Any] = Field(default_factory=dict)
    if_exists: Literal["raise", "do_nothing"] = "raise"
    supersteps: list[Superstep] = Field(default=[], max_length=1000)
    ttl: Unsupported = None


class Search(Body):
    metadata: dict[str, Any] = Field(default_factory=dict)
    ids: tuple[str, ...] = Field(default=(), max_length=1000)
    status: ThreadStatus | None = None
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000)
    sort_by: Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"] = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
    select: tuple[str, ...] | None = None
    values: Unsupported = None
    extract: Unsupported = None


class Metadata(Body):
    metadata: dict[str, Any] = Field(default_factory=dict)
    ttl: Unsupported = None


class StateUpdate(Body):
    values: Any = None
    as_node: str | None = None
    checkpoint: CheckpointRef | None = None
    checkpoint_id: str | None = None


class StateAt(Body):
    checkpoint: CheckpointRef
    subgraphs: bool = False
    select: tuple[str, ...] = ()


class History(Body):
    limit: int = Field(default=10, ge=1, le=1000)
    before: CheckpointRef | str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    checkpoint: CheckpointRef | None = None
    select: tuple[str, ...] = ()


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
    elif body.supersteps:
        try:
            await write_supersteps(agent.runs, thread.thread_id, body.supersteps)
        except AgentError:
            await store.delete_thread(thread.thread_id)
            raise
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
        # A thread is not written to but by its state and its metadata.
        sort_by="updated_at" if body.sort_by == "state_updated_at" else body.sort_by,
        descending=body.sort_order == "desc",
    )
    whole = body.select is None or "values" in body.select or "interrupts" in body.select
    names = set(body.select or ())

    async def page(limit: int, offset: int) -> list[Thread]:
        return await agent.runs.store.threads(replace(query, limit=limit, offset=offset))

    async def found() -> AsyncIterator[dict[str, Any]]:
        async for thread in paged(page, body.limit, body.offset, _THREADS):
            one = await _listed(agent, thread) if whole else _plain(thread)
            yield selected(one, names)

    return await reply_list(request, found())


async def get_thread(request: Request) -> Response:
    agent = agent_of(request)
    return reply(await describe(agent, await _thread(agent, request.path_params["thread_id"])))


async def update_thread(request: Request) -> Response:
    agent, body = agent_of(request), await read(request, Metadata)
    refuse_own_names(body.metadata)
    thread_id = request.path_params["thread_id"]
    if exceeds((await _thread(agent, thread_id)).metadata | body.metadata, _LARGEST_METADATA):
        raise InputError(
            f"the metadata of a thread can't have more than {_LARGEST_METADATA >> 10} KiB: keep less in it"
        )
    if (thread := await agent.runs.store.update_thread(thread_id, body.metadata)) is None:
        raise _missing(thread_id)
    return reply(await describe(agent, thread))


async def delete_thread(request: Request) -> Response:
    await agent_of(request).runs.delete_thread(request.path_params["thread_id"])
    return Response(status_code=204)


async def get_state(request: Request) -> Response:
    agent, thread_id = agent_of(request), request.path_params["thread_id"]
    await _thread(agent, thread_id)
    subgraphs = request.query_params.get("subgraphs", "").lower() == "true"
    checkpoint_id = request.path_params.get("checkpoint_id")
    state = await state_at(agent.graph, thread_id, checkpoint_id, subgraphs=subgraphs)
    return reply(selected(snapshot(state, thread_id), named(request)))


async def get_state_at(request: Request) -> Response:
    agent, thread_id = agent_of(request), request.path_params["thread_id"]
    body = await read(request, StateAt)
    await _thread(agent, thread_id)
    asked = body.checkpoint
    state = await state_at(agent.graph, thread_id, asked.checkpoint_id, asked.checkpoint_ns, subgraphs=body.subgraphs)
    return reply(selected(snapshot(state, thread_id), body.select))


async def update_state(request: Request) -> Response:
    agent, thread_id = agent_of(request), request.path_params["thread_id"]
    body = await read(request, StateUpdate)
    at = body.checkpoint_id or (body.checkpoint.checkpoint_id if body.checkpoint else None)
    within = body.checkpoint.checkpoint_ns if body.checkpoint and not body.checkpoint_id else ""
    config = await agent.runs.update_state(
        thread_id, body.values, as_node=body.as_node, checkpoint_id=at, namespace=within
    )
    return reply({"checkpoint": checkpoint(config, thread_id)})


async def get_history(request: Request) -> Response:
    agent, thread_id = agent_of(request), request.path_params["thread_id"]
    body = await read(request, History)
    key_problem(body.metadata)
    await _thread(agent, thread_id)
    states = _history(agent, thread_id, body)
    return await reply_list(request, (selected(snapshot(state, thread_id), body.select) async for state in states))


async def _history(agent: Agent, thread_id: str, body: History) -> AsyncIterator[StateSnapshot]:
    """States from the newest on."""
    named = body.before.checkpoint_id if isinstance(body.before, CheckpointRef) else body.before
    at = body.checkpoint or CheckpointRef()
    before = thread_config(thread_id, named, at.checkpoint_ns) if named else None
    left = body.limit
    while left > 0:
        page = min(left, _PAGE)
        states = agent.graph.aget_state_history(
            thread_config(thread_id, at.checkpoint_id, at.checkpoint_ns),
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


async def _listed(agent: Agent, thread: Thread) -> dict[str, Any]:
    """A thread among others, which are listed as well where the values of this one can't be read."""
    try:
        return await describe(agent, thread)
    except (UnreadableError, StateLostError) as error:
        return {**_plain(thread), "values": None, "interrupts": {}, "unreadable": str(error)}


def _plain(thread: Thread) -> dict[str, Any]:
    fields = {name: value for name, value in vars(thread).items() if name != "owner"}
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
