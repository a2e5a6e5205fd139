"""What waits for a person to say, and their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, get_args

from starlette.routing import Route

from agent_runtime.errors import InputError, UnavailableError
from agent_runtime.runs.approvals import Approvals, Filter
from agent_runtime.server.runs import describe
from agent_runtime.server.streams import location
from agent_runtime.server.wire import Body, agent_of, caller, number, principal_of, read, reply
from agent_runtime.state.interrupts import InterruptStatus

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_PAGE = 1000
_OF = {"mine": True, "others": False, "all": None}


class Answer(Body):
    answer: Any


async def list_approvals(request: Request) -> Response:
    limit, offset = number(request, "limit", 100, _PAGE), number(request, "offset", 0, 1_000_000)
    approvals = Approvals(agent_of(request).runs)
    found, following = await approvals.list(principal_of(request), _filter(request), limit or _PAGE, offset)
    return reply({"approvals": [one.as_json for one in found], "next": following})


async def get_approval(request: Request) -> Response:
    approvals = Approvals(agent_of(request).runs)
    return reply((await approvals.get(request.path_params["approval"], principal_of(request))).as_json)


async def answer_approval(request: Request) -> Response:
    agent, body = agent_of(request), await read(request, Answer)
    if agent.draining and not agent.store.durable:
        raise UnavailableError("the pod is about to end: send the request to another one")
    approval, run = await Approvals(agent.runs).answer(request.path_params["approval"], body.answer, caller(request))
    if approval.own:
        return reply(describe(agent, run), 202, location(run))
    return reply(approval.as_json, 202)


def _filter(request: Request) -> Filter:
    asked = request.query_params
    status, of = asked.get("status", "open"), asked.get("of", "all")
    for name, value, known in (("status", status, get_args(InterruptStatus)), ("of", of, tuple(_OF))):
        if value not in known:
            raise InputError(f"the query parameter {name} must be one of {', '.join(known)}")
    return Filter(cast("InterruptStatus", status), asked.get("node"), asked.get("thread_id"), _OF[of])


routes = [
    Route("/approvals", list_approvals, methods=["GET"]),
    Route("/approvals/{approval}", get_approval, methods=["GET"]),
    Route("/approvals/{approval}", answer_approval, methods=["POST"]),
]
