"""Requests in, answers out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict
from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.a2a.protocol import TIMEOUT_HEADER
from agent_runtime.errors import InputError
from agent_runtime.plain import DEEPEST, deeper
from agent_runtime.runs.caller import Caller
from agent_runtime.runs.encode import dumps
from agent_runtime.server.bodies import hold
from agent_runtime.state.records import OWN_PREFIX
from agent_runtime.tracing import spans
from agent_runtime.workflow.peer import HOPS_HEADER, MAX_HOPS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from agent_runtime.agent import Agent
    from agent_runtime.auth.principal import Principal
    from agent_runtime.server.intake import Intake
    from agent_runtime.server.lists import Lists

Model = TypeVar("Model", bound=BaseModel)

_DIGITS = re.compile(r"[0-9]{1,9}")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_LARGEST = 1 << 63
_PASSED_ON = {
    "traceparent": re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
    "tracestate": re.compile(r"[!-~][ -~]{0,511}"),
}
"""Headers that go on to the services a run calls, where they have the form of W3C Trace Context."""


class Body(BaseModel):
    """Base of request bodies; unknown fields are let through for newer clients."""

    model_config = ConfigDict(extra="ignore")


def _nothing(value: Any) -> None:
    if value:
        raise ValueError("is not supported here: leave it out")


Unsupported = Annotated[Any, AfterValidator(_nothing)]
"""A field of langgraph-sdk that would change what an answer has in it, and can't."""


def agent_of(request: Request) -> Agent:
    """The agent that this server serves."""
    agent: Agent = request.app.state.agent
    return agent


def principal_of(request: Request) -> Principal:
    """Who sends the request."""
    principal: Principal = request.state.principal
    return principal


class ThreadRoute(Route):
    """A path of one thread. Handlers find its key in place of the id, and so no thread but the caller's own."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        given = scope["path_params"]["thread_id"]
        scope["path_params"]["thread_id"] = scope["state"]["principal"].key(given)
        await super().handle(scope, receive, send)


def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(dumps(value), status, headers, media_type="application/json")


async def reply_list(request: Request, items: AsyncIterator[Any], member: str | None = None) -> Response:
    """A JSON array of items that are made one after the other, as `Lists.answer`."""
    lists: Lists = request.app.state.lists
    return await lists.answer(items, principal_of(request).owner, member)


async def read(request: Request, model: type[Model]) -> Model:
    """The body.

    Raises:
        HTTPException: It is too large, or takes too long, see `Intake`; or there is no room for it, see `hold`.
        InputError: It is no JSON, or nested too deeply.
        ValidationError: It has the wrong shape.
    """
    intake: Intake = request.app.state.intake
    body = await intake.read(request.stream())
    try:
        value = orjson.loads(body) if body else {}
    except ValueError as error:
        raise InputError(f"the body is no JSON: {error}") from None
    if deeper(value, DEEPEST):
        raise InputError(f"the body has more than {DEEPEST} levels of lists and objects: make it flatter")
    hold(request, value)
    return model.model_validate(value)


def caller(request: Request) -> Caller:
    """Who asks, and what is passed on to the agents and tools that the run calls."""
    count = whole(request.headers.get(HOPS_HEADER)) or 0
    if count > MAX_HOPS:
        raise InputError(f"{MAX_HOPS} agents have asked each other in turn already: look for a cycle between agents")
    passed = {
        name: value for name, form in _PASSED_ON.items() if form.fullmatch(value := request.headers.get(name, ""))
    }
    passed |= spans.headers()
    return Caller(principal_of(request), count, passed, request.headers.get("idempotency-key"), _patience(request))


def _patience(request: Request) -> float | None:
    text = request.headers.get(TIMEOUT_HEADER)
    if text is None:
        return None
    if not _SECONDS.fullmatch(text):
        raise InputError(f"the header {TIMEOUT_HEADER} must be a number of seconds, such as 12.5")
    return float(text)


def number(request: Request, name: str, default: int, largest: int) -> int:
    """A number in the query, from 0 to `largest`."""
    found = whole(request.query_params.get(name, str(default)))
    if found is None or found > largest:
        raise InputError(f"the query parameter {name} must be a number from 0 to {largest}")
    return found


def whole(text: str | None) -> int | None:
    """A number of up to nine digits, or None if the text is something else."""
    return int(text) if text and _DIGITS.fullmatch(text) else None


def refuse_own_names(metadata: dict[str, Any]) -> None:
    """Refuses metadata that only the runtime writes, and what `key_problem` refuses."""
    key_problem(metadata)
    if taken := sorted(name for name in metadata if name.startswith(OWN_PREFIX)):
        raise InputError(f"`metadata` can't have the name {taken[0]!r}: names that begin with {OWN_PREFIX} are taken")


def key_problem(metadata: dict[str, Any]) -> None:
    """Refuses metadata that MongoDB does not keep: names it takes for paths or operators, and too large numbers."""
    for name, value in metadata.items():
        if not name or name.startswith("$") or "." in name or "\0" in name:
            raise InputError(f"`metadata` can't have the name {name!r}: use no dot, and no $ at the start")
        _unkept(value)


def _unkept(value: Any) -> None:
    if isinstance(value, dict):
        key_problem(value)
    elif isinstance(value, list):
        for one in value:
            _unkept(one)
    elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise InputError(f"`metadata` can't keep the number {value}: write it as text")
