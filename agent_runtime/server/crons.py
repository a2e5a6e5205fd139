"""Crons of callers, as langgraph-sdk's `client.crons` asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.crons.request import CronChange, CronSearch, NewCron
from agent_runtime.server.assistants import GRAPH_ID, check_id
from agent_runtime.server.select import selected
from agent_runtime.server.wire import ThreadRoute, agent_of, principal_of, read, refuse_own_names, reply
from agent_runtime.state.records import shown

if TYPE_CHECKING:
    from starlette.requests import Request

    from agent_runtime.agent import Agent
    from agent_runtime.crons.cron import Cron


async def create_cron(request: Request) -> Response:
    agent, asked = agent_of(request), await read(request, NewCron)
    check_id(agent, asked.assistant_id)
    refuse_own_names(asked.metadata or {})
    thread_id = request.path_params.get("thread_id")
    return reply(describe(agent, await agent.crons.create(asked, principal_of(request), thread_id)))


async def update_cron(request: Request) -> Response:
    agent, asked = agent_of(request), await read(request, CronChange)
    refuse_own_names(asked.metadata or {})
    cron_id = request.path_params["cron_id"]
    return reply(describe(agent, await agent.crons.update(cron_id, asked, principal_of(request))))


async def delete_cron(request: Request) -> Response:
    await agent_of(request).crons.delete(request.path_params["cron_id"], principal_of(request))
    return Response(status_code=204)


async def search_crons(request: Request) -> Response:
    asked = await read(request, CronSearch)
    found = await _found(request, asked)
    found.sort(
        key=lambda one: (one[asked.sort_by] is not None, one[asked.sort_by] or ""), reverse=asked.sort_order == "desc"
    )
    page = found[asked.offset : asked.offset + asked.limit]
    return reply([selected(one, asked.select or ()) for one in page])


async def count_crons(request: Request) -> Response:
    return reply(len(await _found(request, await read(request, CronSearch))))


async def _found(request: Request, asked: CronSearch) -> list[dict[str, Any]]:
    agent = agent_of(request)
    if asked.assistant_id not in {None, GRAPH_ID, agent.assistant_id}:
        return []
    return [describe(agent, cron) for cron in await agent.crons.search(asked, principal_of(request))]


def describe(agent: Agent, cron: Cron) -> dict[str, Any]:
    """A cron as langgraph-sdk's `Cron`, with how its ticks went."""
    thread = cron.thread_id
    return {
        "cron_id": cron.cron_id,
        "assistant_id": agent.assistant_id,
        "thread_id": shown(thread) if thread else None,
        "on_run_completed": None if thread else cron.request.get("on_completion", "delete"),
        "end_time": cron.end_time,
        "schedule": cron.schedule,
        "timezone": cron.timezone,
        "created_at": cron.created_at,
        "updated_at": cron.updated_at,
        "payload": cron.request,
        "user_id": cron.principal.user or cron.principal.account,
        "next_run_date": cron.next,
        "metadata": cron.metadata,
        "enabled": cron.enabled,
        "last_run_date": cron.last,
        "missed": cron.missed,
        "problem": cron.problem,
    }


routes = [
    Route("/runs/crons", create_cron, methods=["POST"]),
    Route("/runs/crons/search", search_crons, methods=["POST"]),
    Route("/runs/crons/count", count_crons, methods=["POST"]),
    Route("/runs/crons/{cron_id}", update_cron, methods=["PATCH"]),
    Route("/runs/crons/{cron_id}", delete_cron, methods=["DELETE"]),
    ThreadRoute("/threads/{thread_id}/runs/crons", create_cron, methods=["POST"]),
]
