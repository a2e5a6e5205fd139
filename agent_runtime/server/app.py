from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from agent_runtime.errors import AgentError
from agent_runtime.server import assistants, health, problems, runs, threads
from agent_runtime.server.authentication import Authenticate
from agent_runtime.server.intake import Intake, RefuseOverload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from agent_runtime.agent import Agent
    from agent_runtime.metrics import Metrics


def build_app(agent: Agent) -> Starlette:
    """The application that serves an agent, and starts and ends it."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        agent.start()
        try:
            yield
        finally:
            await agent.close()

    app = Starlette(
        routes=[*assistants.routes, *threads.routes, *runs.routes, *health.routes],
        lifespan=lifespan,
        middleware=[
            Middleware(CountRequests, metrics=agent.metrics),
            Middleware(RefuseOverload, most=agent.settings.max_requests),
            Middleware(Authenticate, authenticator=agent.authenticator, metrics=agent.metrics),
        ],
        exception_handlers={
            AgentError: problems.on_agent_error,
            ValidationError: problems.on_invalid,
            HTTPException: problems.on_http_error,
            ClientDisconnect: problems.on_gone,
            Exception: problems.on_bug,
        },
    )
    # A redirect to the path without its slash would go to whatever host the request names.
    app.router.redirect_slashes = False
    app.state.agent = agent
    app.state.intake = Intake(agent.settings.max_body_bytes)
    return app


class CountRequests:
    """Counts requests by handler and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        code = 500

        async def note(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        with self._metrics.open_request():
            try:
                await self._app(scope, receive, note)
            finally:
                handler = getattr(scope.get("endpoint"), "__name__", "none")
                self._metrics.request_ended(handler, code)
