"""The endpoint of MCP, by streamable HTTP.

Versions with a handshake get a session id that no pod keeps anything for: it tells calls of different clients apart, so
that any pod can cancel one.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from sse_starlette.sse import AppStatus
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.errors import InputError
from agent_runtime.mcp.own_server import OwnServer
from agent_runtime.plain import DEEPEST, deeper
from agent_runtime.server.bodies import hold
from agent_runtime.server.wire import caller, principal_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import Message, Receive, Scope, Send

    from agent_runtime.agent import Agent
    from agent_runtime.server.intake import Intake

_SESSION = "mcp-session-id"
_FORBIDDEN = 403

# Streams of runs end with the run, also where the pod drains.
AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]


class Door:
    """Lets requests in to the library."""

    def __init__(self, agent: Agent) -> None:
        self.own = OwnServer(agent)
        self.manager = StreamableHTTPSessionManager(
            self.own.server, stateless=True, max_request_body_size=agent.settings.max_body_bytes
        )
        self.routes = [Route("/mcp", mcp, methods=["POST"])]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serves inside."""
        async with self.manager.run():
            yield
        await self.own.calls.close()


async def mcp(request: Request) -> Response:
    intake: Intake = request.app.state.intake
    door: Door = request.app.state.mcp
    _check_origin(request)
    body = await intake.read(request.stream())
    message = _decoded(body)
    hold(request, message)
    asked = message if isinstance(message, dict) else {}
    session = request.headers.get(_SESSION, "")
    if asked.get("method") == "notifications/cancelled" and session:
        await door.own.calls.cancel(_known_by(session, _params(asked).get("requestId")), principal_of(request))
        return Response(status_code=202)
    request.state.caller = caller(request)
    request.state.known_by = _known_by(session, asked.get("id")) if session else None
    return _Passed(door, body, str(uuid4()) if asked.get("method") == "initialize" else None)


class _Passed(Response):
    """What the library answers; with a session's id where one begins."""

    def __init__(self, door: Door, body: bytes, session: str | None) -> None:
        super().__init__()
        self._door = door
        self._read: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._session = session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def replay() -> Message:
            return self._read.pop() if self._read else await receive()

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start" and self._session:
                headers = [*message["headers"], (_SESSION.encode(), self._session.encode())]
                message = {**message, "headers": headers}
            await send(message)

        await self._door.manager.handle_request(scope, replay, note)


def _decoded(body: bytes) -> Any:
    """The message; None where it is no JSON, which the library tells the client in the protocol's words."""
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    if deeper(value, DEEPEST):
        raise InputError(f"the body has more than {DEEPEST} levels of lists and objects: make it flatter")
    return value


def _params(asked: dict[str, Any]) -> dict[str, Any]:
    params = asked.get("params")
    return params if isinstance(params, dict) else {}


def _known_by(session: str, identifier: Any) -> str:
    """What tells a call from all others of its caller: ids are numbers that each client counts by itself."""
    return orjson.dumps([session, identifier]).decode()


def _check_origin(request: Request) -> None:
    """Refuses pages of other sites, which a browser may have been led here by (DNS rebinding).

    https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#security-warning
    """
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(_FORBIDDEN, "pages of other sites can't use this agent")
