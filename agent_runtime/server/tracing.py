"""A span for each request, in the trace of who sends it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.routing import Match, Route

from agent_runtime.server.authentication import METRICS, OPEN
from agent_runtime.tracing import spans

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from agent_runtime.tracing.spans import Tracing


class TraceRequests:
    """Traces all but probes and scrapes. Addresses are told by their form alone, without ids."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or scope["path"] in {*OPEN, METRICS}:
            await self._app(scope, receive, send)
            return
        method, route = scope["method"], _route(scope)
        with (
            spans.by(self._tracing),
            self._tracing.of_request(f"{method} {route}".rstrip(), Headers(scope=scope)) as span,
        ):
            span.note({"http.request.method": method, "http.route": route})

            async def note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    code = message["status"]
                    span.note({"http.response.status_code": code})
                    if code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                        span.fail(str(code))
                await send(message)

            await self._app(scope, receive, note)


def _route(scope: Scope) -> str:
    """The form of the path, such as `/threads/{thread_id}/runs`; "" for one that nothing serves."""
    routes = (route for route in scope["app"].routes if isinstance(route, Route))
    return next((route.path for route in routes if route.matches(scope)[0] is Match.FULL), "")
