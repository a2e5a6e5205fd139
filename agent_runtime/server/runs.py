"""Runs, in a thread and without one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field, RootModel
from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.errors import InputError, NotFoundError, UnavailableError
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.request import RunRequest
from agent_runtime.server.assistants import check_id
from agent_runtime.server.follow import FollowingResponse
from agent_runtime.server.lists import paged
from agent_runtime.server.select import named, selected
from agent_runtime.server.streams import asks_to_cancel, location, stream
from agent_runtime.server.wire import (
    Body,
    ThreadRoute,
    agent_of,
    caller,
    number,
    principal_of,
    read,
    refuse_own_names,
    reply,
    reply_list,
)
from agent_runtime.state.records import ACTIVE, PUSH, CancelAction, RunStatus, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from agent_runtime.agent import Agent
    from agent_runtime.state.records import Run

_PAGE = 20
"""Runs that are read at a time; each may have a megabyte of input, and one of metadata."""
_STATUSES = {"pending", "running", "error", "success", "timeout", "interrupted"}


class BatchedRun(RunRequest):
    thread_id: str | None = None


class Batch(RootModel[list[BatchedRun]]):
    root: list[BatchedRun] = Field(min_length=1, max_length=1000)


class CancelMany(Body):
    thread_id: str | None = None
    run_ids: tuple[str, ...] = Field(default=(), max_length=1000)
    status: Literal["pending", "running", "all"] | None = None


async def create_run(request: Request) -> Response:
    run, _ = await _submit(request)
    return reply(describe(agent_of(request), run), headers=location(run))


async def create_runs(request: Request) -> Response:
    agent, asked = agent_of(request), (await read(request, Batch)).root
    for one in asked:
        check_id(agent, one.assistant_id)
        refuse_own_names(one.metadata)
    _refuse_at_end(agent)
    key = principal_of(request).key
    runs = [(key(one.thread_id) if one.thread_id else None, one) for one in asked]
    accepted = await agent.runs.submit_many(runs, caller(request))
    return reply([describe(agent, run) for run in accepted])


async def wait_run(request: Request) -> Response:
    run, asked = await _submit(request, waited=True)
    cancel = asked.on_disconnect == "cancel"
    return await _result(request, run, cancel=cancel, temporary=_temporary(request, asked))


async def stream_run(request: Request) -> Response:
    # Kept for a client that comes back: to another pod, perhaps, or because this one died.
    run, asked = await _submit(request, {"stream_resumable": True}, waited=True)
    cancel = asked.on_disconnect == "cancel"
    return stream(agent_of(request), run, 0, cancel=cancel, temporary=_temporary(request, asked))


async def list_runs(request: Request) -> Response:
    agent, thread_id = agent_of(request), request.path_params["thread_id"]
    status: Any = request.query_params.get("status")
    if status is not None and status not in _STATUSES:
        raise InputError(f"the query parameter status must be one of {', '.join(sorted(_STATUSES))}")
    if await agent.runs.store.thread(thread_id) is None:
        raise NotFoundError(f"there is no thread {shown(thread_id)}")
    limit, offset = number(request, "limit", 10, 1000), number(request, "offset", 0, 1_000_000)
    found = paged(partial(agent.runs.store.runs, thread_id, status), limit, offset, _PAGE)
    names = named(request)
    return await reply_list(request, (selected(describe(agent, run), names) async for run in found))


async def get_run(request: Request) -> Response:
    return reply(describe(agent_of(request), await _run(request)))


async def delete_run(request: Request) -> Response:
    await agent_of(request).runs.delete(await _run(request))
    return Response(status_code=204)


async def join_run(request: Request) -> Response:
    cancel = asks_to_cancel(request)
    return await _result(request, await _run(request), cancel=cancel, temporary=False)


async def cancel_run(request: Request) -> Response:
    agent, run, action = agent_of(request), await _run(request), _action(request)
    await agent.runs.cancel(run, action)
    if request.query_params.get("wait", "").lower() not in {"1", "true"}:
        return Response(status_code=202)
    if action == "rollback":
        await agent.runs.following.ended(run)
        return Response(status_code=204)
    return await _result(request, run, cancel=False, temporary=False)


async def cancel_runs(request: Request) -> Response:
    agent, asked, action = agent_of(request), await read(request, CancelMany), _action(request)
    if asked.status is None and not asked.run_ids:
        raise InputError("say which runs to cancel: by `run_ids`, or by `status`")
    caller = principal_of(request)
    thread = caller.key(asked.thread_id) if asked.thread_id else None
    statuses: tuple[RunStatus, ...] = ACTIVE if asked.status in {None, "all"} else (cast("RunStatus", asked.status),)
    await agent.runs.cancel_many(await agent.runs.chosen(caller, thread, asked.run_ids, statuses), action)
    return Response(status_code=204)


def _action(request: Request) -> CancelAction:
    action = request.query_params.get("action", "interrupt")
    if action not in {"interrupt", "rollback"}:
        raise InputError("the query parameter action must be interrupt or rollback")
    return cast("CancelAction", action)


def describe(agent: Agent, run: Run) -> dict[str, Any]:
    """A run as langgraph-sdk's `Run`; `error` says why it failed."""
    # A client that does not know of `unreadable` gets a run of which less is known.
    sealed = {"unreadable": run.unreadable} if run.unreadable else {}
    return {
        "run_id": run.run_id,
        "thread_id": shown(run.thread_id),
        "assistant_id": agent.assistant_id,
        "status": run.status,
        "metadata": {name: value for name, value in run.metadata.items() if not name.startswith(PUSH)},
        "multitask_strategy": None if sealed else run.request["body"]["multitask_strategy"],
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "error": run.error,
        **sealed,
    }


async def _submit(
    request: Request, changes: dict[str, Any] | None = None, *, waited: bool = False
) -> tuple[Run, RunRequest]:
    agent, asked = agent_of(request), (await read(request, RunRequest)).model_copy(update=changes)
    check_id(agent, asked.assistant_id)
    refuse_own_names(asked.metadata)
    _refuse_at_end(agent)
    run = await agent.runs.submit(request.path_params.get("thread_id"), asked, caller(request), waited=waited)
    return run, asked


def _refuse_at_end(agent: Agent) -> None:
    if agent.draining and not agent.store.durable:
        raise UnavailableError("the pod is about to end: send the request to another one")


async def _run(request: Request) -> Run:
    return await agent_of(request).runs.get(request.path_params["thread_id"], request.path_params["run_id"])


def _temporary(request: Request, asked: RunRequest) -> bool:
    return "thread_id" not in request.path_params and asked.on_completion != "keep"


async def _result(request: Request, run: Run, *, cancel: bool, temporary: bool) -> Response:
    agent = agent_of(request)
    run = replace(run, request={})  # which may be large, and nobody needs while the client waits
    limit = agent.settings.follow_limit

    async def body() -> AsyncIterator[bytes]:
        # The head is sent at once, so that a client whose connection breaks knows where to ask again.
        try:
            async with asyncio.timeout(limit):
                values = await agent.runs.wait(run)
        except TimeoutError:
            message = f"no answer is kept open for longer than {limit:g} s; the run goes on: join it"
            yield dumps({"__error__": {"error": "Timeout", "message": message}})
            return
        yield dumps(values)
        if temporary:
            agent.runs.forget(run)

    on_gone = (lambda: agent.runs.abandon(run)) if cancel else None
    headers = location(run, "join")
    return FollowingResponse(body(), limit=limit, on_gone=on_gone, headers=headers, media_type="application/json")


_IN_THREAD = "/threads/{thread_id}/runs"
routes = [
    Route("/runs", create_run, methods=["POST"]),
    Route("/runs/batch", create_runs, methods=["POST"]),
    Route("/runs/cancel", cancel_runs, methods=["POST"]),
    Route("/runs/wait", wait_run, methods=["POST"]),
    Route("/runs/stream", stream_run, methods=["POST"]),
    ThreadRoute(_IN_THREAD, create_run, methods=["POST"]),
    ThreadRoute(_IN_THREAD, list_runs, methods=["GET"]),
    ThreadRoute(_IN_THREAD + "/wait", wait_run, methods=["POST"]),
    ThreadRoute(_IN_THREAD + "/stream", stream_run, methods=["POST"]),
    ThreadRoute(_IN_THREAD + "/{run_id}", get_run, methods=["GET"]),
    ThreadRoute(_IN_THREAD + "/{run_id}", delete_run, methods=["DELETE"]),
    ThreadRoute(_IN_THREAD + "/{run_id}/join", join_run, methods=["GET"]),
    ThreadRoute(_IN_THREAD + "/{run_id}/cancel", cancel_run, methods=["POST"]),
]
