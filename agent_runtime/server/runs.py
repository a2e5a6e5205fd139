"""Runs, in a thread and without one."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.errors import InputError, NotFoundError, UnavailableError
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.request import RunRequest
from agent_runtime.server.assistants import check_id
from agent_runtime.server.follow import FollowingResponse
from agent_runtime.server.wire import ThreadRoute, agent_of, caller, number, read, refuse_own_names, reply, whole
from agent_runtime.state.records import shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from agent_runtime.agent import Agent
    from agent_runtime.state.records import Run

_STATUSES = {"pending", "running", "error", "success", "timeout", "interrupted"}
_KEEP_ALIVE = 15.0
"""Seconds without an event after which a comment is sent, so that no proxy closes the stream."""


async def create_run(request: Request) -> Response:
    run, _ = await _submit(request)
    return reply(describe(agent_of(request), run), headers=_location(run))


async def wait_run(request: Request) -> Response:
    run, asked = await _submit(request)
    cancel = asked.on_disconnect == "cancel"
    return await _result(request, run, cancel=cancel, temporary=_temporary(request, asked))


async def stream_run(request: Request) -> Response:
    run, asked = await _submit(request)
    cancel = asked.on_disconnect == "cancel"
    return _stream(agent_of(request), run, 0, cancel=cancel, temporary=_temporary(request, asked))


async def list_runs(request: Request) -> Response:
    agent, thread_id = agent_of(request), request.path_params["thread_id"]
    status: Any = request.query_params.get("status")
    if status is not None and status not in _STATUSES:
        raise InputError(f"the query parameter status must be one of {', '.join(sorted(_STATUSES))}")
    if await agent.runs.store.thread(thread_id) is None:
        raise NotFoundError(f"there is no thread {shown(thread_id)}")
    limit, offset = number(request, "limit", 10, 1000), number(request, "offset", 0, 1_000_000)
    found = await agent.runs.store.runs(thread_id, status, limit, offset)
    return reply([describe(agent, run) for run in found])


async def get_run(request: Request) -> Response:
    return reply(describe(agent_of(request), await _run(request)))


async def delete_run(request: Request) -> Response:
    await agent_of(request).runs.delete(await _run(request))
    return Response(status_code=204)


async def join_run(request: Request) -> Response:
    cancel = _asks_to_cancel(request)
    return await _result(request, await _run(request), cancel=cancel, temporary=False)


async def join_stream(request: Request) -> Response:
    after = whole(request.headers.get("last-event-id")) or 0
    cancel = _asks_to_cancel(request)
    return _stream(agent_of(request), await _run(request), after, cancel=cancel, temporary=False)


async def cancel_run(request: Request) -> Response:
    agent, run = agent_of(request), await _run(request)
    if request.query_params.get("action", "interrupt") != "interrupt":
        raise InputError("`action` must be interrupt: rollback is not supported")
    await agent.runs.cancel(run)
    if request.query_params.get("wait") in {"1", "true"}:
        return reply(await agent.runs.wait(run))
    return Response(status_code=202)


def describe(agent: Agent, run: Run) -> dict[str, Any]:
    """A run as langgraph-sdk's `Run`; `error` says why it failed."""
    return {
        "run_id": run.run_id,
        "thread_id": shown(run.thread_id),
        "assistant_id": agent.assistant_id,
        "status": run.status,
        "metadata": run.metadata,
        "multitask_strategy": run.request["body"]["multitask_strategy"],
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "error": run.error,
    }


async def _submit(request: Request) -> tuple[Run, RunRequest]:
    agent, asked = agent_of(request), await read(request, RunRequest)
    check_id(agent, asked.assistant_id)
    refuse_own_names(asked.metadata)
    if agent.draining and not agent.store.durable:
        raise UnavailableError("the pod is about to end: send the request to another one")
    return await agent.runs.submit(request.path_params.get("thread_id"), asked, caller(request)), asked


async def _run(request: Request) -> Run:
    return await agent_of(request).runs.get(request.path_params["thread_id"], request.path_params["run_id"])


def _temporary(request: Request, asked: RunRequest) -> bool:
    return "thread_id" not in request.path_params and asked.on_completion != "keep"


def _asks_to_cancel(request: Request) -> bool:
    return request.query_params.get("cancel_on_disconnect", "").lower() in {"true", "1"}


async def _result(request: Request, run: Run, *, cancel: bool, temporary: bool) -> Response:
    agent = agent_of(request)
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
            with suppress(NotFoundError):
                await agent.runs.delete_thread(run.thread_id)

    on_gone = (lambda: agent.runs.abandon(run)) if cancel else None
    headers = _location(run, "join")
    return FollowingResponse(body(), limit=limit, on_gone=on_gone, headers=headers, media_type="application/json")


def _stream(agent: Agent, run: Run, after: int, *, cancel: bool, temporary: bool) -> Response:
    limit = agent.settings.follow_limit

    async def body() -> AsyncIterator[bytes]:
        try:
            async for event in _with_pauses(agent.runs.events(run, after), limit):
                if event is None:
                    yield b": still running\n\n"
                    continue
                yield b"event: %b\ndata: %b\nid: %d\n\n" % (event.name.encode(), event.data, event.number)
        except TimeoutError:
            yield b": no stream is kept open for longer than %g s; the run goes on: join it\n\n" % limit
            return
        if temporary:
            with suppress(NotFoundError):
                await agent.runs.delete_thread(run.thread_id)

    on_gone = (lambda: agent.runs.abandon(run)) if cancel else None
    headers = {**_location(run, "stream"), "cache-control": "no-store", "x-accel-buffering": "no"}
    return FollowingResponse(body(), limit=limit, on_gone=on_gone, headers=headers, media_type="text/event-stream")


async def _with_pauses(events: AsyncIterator[Any], limit: float) -> AsyncIterator[Any]:
    """The events, and None where none came for a while; raises TimeoutError after `limit` seconds."""
    end = time.monotonic() + limit
    pending = asyncio.ensure_future(anext(events, StopAsyncIteration))
    try:
        while (left := end - time.monotonic()) > 0:
            done, _ = await asyncio.wait({pending}, timeout=min(_KEEP_ALIVE, left))
            if not done:
                yield None
                continue
            event = pending.result()
            if event is StopAsyncIteration:
                return
            yield event
            pending = asyncio.ensure_future(anext(events, StopAsyncIteration))
        raise TimeoutError
    finally:
        pending.cancel()


def _location(run: Run, action: str | None = None) -> dict[str, str]:
    path = f"/threads/{shown(run.thread_id)}/runs/{run.run_id}"
    return {"content-location": path, **({"location": f"{path}/{action}"} if action else {})}


_IN_THREAD = "/threads/{thread_id}/runs"
routes = [
    Route("/runs", create_run, methods=["POST"]),
    Route("/runs/wait", wait_run, methods=["POST"]),
    Route("/runs/stream", stream_run, methods=["POST"]),
    ThreadRoute(_IN_THREAD, create_run, methods=["POST"]),
    ThreadRoute(_IN_THREAD, list_runs, methods=["GET"]),
    ThreadRoute(_IN_THREAD + "/wait", wait_run, methods=["POST"]),
    ThreadRoute(_IN_THREAD + "/stream", stream_run, methods=["POST"]),
    ThreadRoute(_IN_THREAD + "/{run_id}", get_run, methods=["GET"]),
    ThreadRoute(_IN_THREAD + "/{run_id}", delete_run, methods=["DELETE"]),
    ThreadRoute(_IN_THREAD + "/{run_id}/join", join_run, methods=["GET"]),
    ThreadRoute(_IN_THREAD + "/{run_id}/stream", join_stream, methods=["GET"]),
    ThreadRoute(_IN_THREAD + "/{run_id}/cancel", cancel_run, methods=["POST"]),
]
