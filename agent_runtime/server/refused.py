"""What langgraph-sdk can ask for and an agent does not do, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from starlette.exceptions import HTTPException
from starlette.routing import Route

from agent_runtime.errors import NotFoundError
from agent_runtime.server.wire import ThreadRoute

if TYPE_CHECKING:
    from starlette.requests import Request

_THE_RESOURCE = "the agent is its one assistant, and its AgentDeployment says what it is: change that"
_SESSIONS = (
    "this server has no sessions of threads (`client.threads.stream`): use `client.runs.stream`, or follow a thread by "
    "`client.threads.join_stream`"
)


async def refuse_assistant(request: Request) -> NoReturn:
    # Nothing can be done at the path of all assistants.
    allowed = "GET" if "assistant_id" in request.path_params else ""
    raise HTTPException(405, _THE_RESOURCE, {"allow": allowed})


async def refuse_session(request: Request) -> NoReturn:  # noqa: ARG001 - Starlette passes it
    raise NotFoundError(_SESSIONS)


routes = [
    Route("/assistants", refuse_assistant, methods=["POST"]),
    Route("/assistants/{assistant_id}", refuse_assistant, methods=["PATCH", "DELETE"]),
    ThreadRoute("/threads/{thread_id}/commands", refuse_session, methods=["POST"]),
    ThreadRoute("/threads/{thread_id}/stream/events", refuse_session, methods=["POST"]),
]
