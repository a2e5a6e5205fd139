from __future__ import annotations

from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from agent_runtime.errors import AgentError
from agent_runtime.server import (
    a2a,
    approvals,
    assistants,
    chat,
    crons,
    health,
    health_checks,
    no_events,
    problems,
    refused,
    runs,
    store,
    streams,
    thread_sets,
    threads,
)
from agent_runtime.server.authentication import Authenticate
from agent_runtime.server.bodies import HoldBodies
from agent_runtime.server.framing import RefuseAmbiguous
from agent_runtime.server.intake import Intake, RefuseOverload, ShareRequests
from agent_runtime.server.lists import Lists
from agent_runtime.server.rate_limits import TellRateLimits
from agent_runtime.spec.serve import ServeSpec
from agent_runtime.spec.uses import uses_knowledge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from agent_runtime.agent import Agent
    from agent_runtime.metrics import Metrics
    from agent_runtime.server.mcp import Door


def build_app(agent: Agent) -> Starlette:
    """The application that serves an agent, and starts and ends it."""
    serve = agent.config.spec.serve or ServeSpec()
    door = _mcp(agent) if serve.mcp else None

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        agent.start()
        try:
            async with door.open() if door else nullcontext():
                yield
        finally:
            await agent.close()

    app = Starlette(
        routes=[
            *assistants.routes,
            *refused.routes,
            *threads.routes,
            *thread_sets.routes,
            *crons.routes,
            *runs.routes,
            *store.routes,
            *streams.routes,
            *a2a.routes,
            *approvals.routes,
            *(chat.routes if serve.chat_completions else ()),
            *(door.routes if door else ()),
            *_events(agent),
            *_knowledge(agent),
            *health.routes,
            *health_checks.routes,
        ],
        lifespan=lifespan,
        middleware=[
            Middleware(CountRequests, metrics=agent.metrics),
            *_traced(agent),
            Middleware(RefuseAmbiguous),
            Middleware(RefuseOverload, most=agent.settings.max_requests),
            Middleware(Authenticate, authenticator=agent.authenticator, metrics=agent.metrics),
            Middleware(ShareRequests, most=agent.settings.max_requests),
            Middleware(HoldBodies),
            Middleware(TellRateLimits),
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
    app.state.mcp = door
    app.state.intake = Intake(agent.settings.max_body_bytes)
    app.state.lists = Lists()
    return app


def _traced(agent: Agent) -> list[Middleware]:
    if agent.tracing is None:
        return []
    from agent_runtime.server.tracing import TraceRequests  # noqa: PLC0415 - only what is used is loaded

    return [Middleware(TraceRequests, tracing=agent.tracing)]


def _events(agent: Agent) -> list[Route]:
    if agent.events is None:
        return no_events.routes
    from agent_runtime.server import events  # noqa: PLC0415 - only what is used is loaded

    return events.routes


def _knowledge(agent: Agent) -> list[Route]:
    if not uses_knowledge(agent.config.spec):
        return []
    from agent_runtime.server import knowledge  # noqa: PLC0415 - only what is used is loaded

    return knowledge.routes


def _mcp(agent: Agent) -> Door:
    from agent_runtime.server.mcp import Door  # noqa: PLC0415 - only what is used is loaded

    return Door(agent)


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
