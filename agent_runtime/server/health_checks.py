"""How the agent and what it depends on are. Probes of Kubernetes are in `server.health`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from agent_runtime.health.result import HealthStatus
from agent_runtime.server.wire import agent_of, reply

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from agent_runtime.health.result import HealthResult


async def whole_health(request: Request) -> Response:
    return _told(await agent_of(request).checks.whole())


async def agents_health(request: Request) -> Response:
    return _told(await agent_of(request).checks.agents())


async def agent_health(request: Request) -> Response:
    return _told(await agent_of(request).checks.agent(request.path_params["name"]))


async def orchestrator_health(request: Request) -> Response:
    return _told(await agent_of(request).checks.orchestrator())


async def dependencies_health(request: Request) -> Response:
    return _told(await agent_of(request).checks.dependencies())


def _told(result: HealthResult) -> Response:
    status = 503 if result.status is HealthStatus.UNHEALTHY else 200
    return reply(result.as_json, status, {"cache-control": "no-store"})


routes = [
    Route("/health", whole_health),
    Route("/health/", whole_health),
    Route("/health/agents", agents_health),
    Route("/health/agents/{name}", agent_health),
    Route("/health/orchestrator", orchestrator_health),
    Route("/health/dependencies", dependencies_health),
]
