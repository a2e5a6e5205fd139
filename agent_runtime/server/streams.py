"""Server-sent events of runs and threads."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from agent_runtime.errors import InputError, NotFoundError
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.thread_events import thread_events
from agent_runtime.runs.thread_states import checkpoint_of, thread_states
from agent_runtime.server.follow import FollowingResponse, merged, with_pauses
from agent_runtime.server.snapshots import snapshot
from agent_runtime.server.wire import ThreadRoute, agent_of
from agent_runtime.state.records import Event, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from agent_runtime.agent import Agent
    from agent_runtime.state.records import Run

_EVENT_ID = re.compile(r"[0-9]{1,15}")
_THREAD_EVENT_ID = re.compile(r"([0-9a-f-]{36}):([0-9]{1,15})")
STATE_UPDATE = "state_update"
_STATE_EVENT_ID = f"{STATE_UPDATE}:"
_ALWAYS = frozenset({"metadata", "error", "end"})
_NAMES = {"messages-tuple": "messages"}
"""Names of events, where they are not those of their modes."""
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


async def join_stream(request: Request) -> Response:
    agent, thread_id = agent_of(request), request.path_params["thread_id"]
    run = await agent.runs.get(thread_id, request.path_params["run_id"])
    told = request.headers.get("last-event-id", "")
    after = int(told) if _EVENT_ID.fullmatch(told) else 0
    # langgraph-sdk sends an empty one where its caller names none.
    modes = [mode for mode in request.query_params.getlist("stream_mode") if mode]
    return stream(agent, run, after, cancel=asks_to_cancel(request), temporary=False, modes=modes)


async def join_thread(request: Request) -> Response:
    agent, thread_id = agent_of(request), request.path_params["thread_id"]
    if await agent.runs.store.thread(thread_id) is None:
        raise NotFoundError(f"there is no thread {shown(thread_id)}")
    modes = set(request.query_params.getlist("stream_mode")) or {"run_modes"}
    if unknown := sorted(modes - {"run_modes", "lifecycle", STATE_UPDATE}):
        raise InputError(f"there is no stream mode {unknown[0]!r}: use run_modes, lifecycle or {STATE_UPDATE}")
    told = request.headers.get("last-event-id", "")
    streams = []
    if modes - {STATE_UPDATE}:
        streams.append(_run_parts(agent, thread_id, told, lifecycle="run_modes" not in modes))
    if STATE_UPDATE in modes:
        streams.append(_state_parts(agent, thread_id, told))
    return _answer(agent, merged(streams), _HEADERS)


async def _run_parts(agent: Agent, thread_id: str, told: str, *, lifecycle: bool) -> AsyncIterator[bytes]:
    """Events of the thread's runs after the one that was told, or of those that execute or come."""
    known = _THREAD_EVENT_ID.fullmatch(told)
    run_id, after = (known[1], int(known[2])) if known else ("", 0)
    async for one in thread_events(agent.runs, thread_id, run_id, after, lifecycle=lifecycle):
        yield _part(one.event, f"{one.run_id}:{one.event.number}")


async def _state_parts(agent: Agent, thread_id: str, told: str) -> AsyncIterator[bytes]:
    """The thread's states after the one that was told; to who comes back with another event, the newest one first."""
    after = told.removeprefix(_STATE_EVENT_ID) if told else None
    async for state in thread_states(agent.runs, thread_id, after):
        event = Event(0, STATE_UPDATE, dumps(snapshot(state, thread_id)))
        yield _part(event, f"{_STATE_EVENT_ID}{checkpoint_of(state)}")


def stream(
    agent: Agent, run: Run, after: int, *, cancel: bool, temporary: bool, modes: list[str] | None = None
) -> Response:
    """The run's events from one on, of some modes or all; a `temporary` thread is removed after the last."""
    run = replace(run, request={})  # which may be large, and nobody needs while the stream lasts

    async def parts() -> AsyncIterator[bytes]:
        async for event in agent.runs.events(run, after):
            if not modes or _wanted(event.name, modes):
                yield _part(event, str(event.number))
        if temporary:
            agent.runs.forget(run)

    on_gone = (lambda: agent.runs.abandon(run)) if cancel else None
    return _answer(agent, parts(), {**location(run, "stream"), **_HEADERS}, on_gone)


def location(run: Run, action: str | None = None) -> dict[str, str]:
    """Headers that say where a run is found, and where its stream or its result."""
    path = f"/threads/{shown(run.thread_id)}/runs/{run.run_id}"
    return {"content-location": path, **({"location": f"{path}/{action}"} if action else {})}


def asks_to_cancel(request: Request) -> bool:
    """Whether the run is to be cancelled when the client goes away."""
    return request.query_params.get("cancel_on_disconnect", "").lower() in {"true", "1"}


def _wanted(name: str, modes: list[str]) -> bool:
    kind = name.partition("|")[0].partition("/")
    if kind[0] == "messages":
        return ("messages" if kind[1] else "messages-tuple") in modes
    return name in _ALWAYS or kind[0] in {_NAMES.get(mode, mode) for mode in modes}


def _part(event: Event, identifier: str) -> bytes:
    return b"event: %b\ndata: %b\nid: %b\n\n" % (event.name.encode(), event.data, identifier.encode())


def _answer(
    agent: Agent, parts: AsyncIterator[bytes], headers: dict[str, str], on_gone: Callable[[], None] | None = None
) -> Response:
    limit = agent.settings.follow_limit

    async def body() -> AsyncIterator[bytes]:
        try:
            async for part in with_pauses(parts, limit):
                yield b": still running\n\n" if part is None else part
        except TimeoutError:
            yield b": no stream is kept open for longer than %g s; the run goes on: join it\n\n" % limit

    return FollowingResponse(body(), limit=limit, on_gone=on_gone, headers=headers, media_type="text/event-stream")


routes = [
    ThreadRoute("/threads/{thread_id}/stream", join_thread, methods=["GET"]),
    ThreadRoute("/threads/{thread_id}/runs/{run_id}/stream", join_stream, methods=["GET"]),
]
