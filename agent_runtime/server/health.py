"""Probes and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.server.wire import agent_of, reply

if TYPE_CHECKING:
    from starlette.requests import Request

    from agent_runtime.agent import Agent


async def ok(request: Request) -> Response:  # noqa: ARG001 - Starlette passes it
    return reply({"ok": True})


async def livez(request: Request) -> Response:
    """Whether the process works. MongoDB does not matter: a restart would not bring it back."""
    live = agent_of(request).live
    return reply({"status": "live" if live else "dead"}, 200 if live else 503)


async def readyz(request: Request) -> Response:
    """Whether the pod should get requests, and which check says no."""
    checks = readiness(agent_of(request))
    ready = all(check["ok"] for check in checks.values())
    return reply({"status": "ready" if ready else "unready", "checks": checks}, 200 if ready else 503)


async def metrics(request: Request) -> Response:
    agent = agent_of(request)
    if agent.tracing is not None:
        # The one form that has exemplars, for who asks for it, as Prometheus does.
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(agent.metrics.registry), media_type=kind)
    return Response(generate_latest(agent.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def readiness(agent: Agent) -> dict[str, dict[str, Any]]:
    """The checks, by name."""
    state = "mongodb" if agent.config.spec.state else "memory"
    checks: dict[str, dict[str, Any]] = {state: {"ok": agent.link.problem is None}}
    if agent.link.problem is not None:
        checks[state]["message"] = agent.link.problem
    if agent.draining:
        checks["draining"] = {"ok": False, "message": "the pod is about to end"}
    return checks


routes = [Route("/ok", ok), Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
