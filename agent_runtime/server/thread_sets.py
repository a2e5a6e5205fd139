"""Whole threads: how many there are, copies of them, and what they need no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field
from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.runs.threads import Pruning
from agent_runtime.server.threads import describe
from agent_runtime.server.wire import Body, ThreadRoute, Unsupported, agent_of, key_problem, principal_of, read, reply
from agent_runtime.state.records import ThreadQuery, ThreadStatus

if TYPE_CHECKING:
    from starlette.requests import Request


class Count(Body):
    metadata: dict[str, Any] = Field(default_factory=dict)
    status: ThreadStatus | None = None
    values: Unsupported = None


class Prune(Body):
    thread_ids: tuple[str, ...] = Field(max_length=1000)
    strategy: Pruning = "delete"


async def count_threads(request: Request) -> Response:
    agent, body = agent_of(request), await read(request, Count)
    key_problem(body.metadata)
    query = ThreadQuery(body.metadata, status=body.status, owner=principal_of(request).owner)
    return reply(await agent.runs.store.count_threads(query))


async def copy_thread(request: Request) -> Response:
    agent = agent_of(request)
    return reply(
        await describe(agent, await agent.threads.copy(request.path_params["thread_id"], principal_of(request)))
    )


async def prune_threads(request: Request) -> Response:
    agent, body, caller = agent_of(request), await read(request, Prune), principal_of(request)
    names = [caller.key(name) for name in body.thread_ids]
    return reply({"pruned_count": await agent.threads.prune(names, body.strategy)})


routes = [
    Route("/threads/count", count_threads, methods=["POST"]),
    Route("/threads/prune", prune_threads, methods=["POST"]),
    ThreadRoute("/threads/{thread_id}/copy", copy_thread, methods=["POST"]),
]
