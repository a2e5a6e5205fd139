"""The agent as langgraph-sdk's one assistant."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from agent_runtime.errors import NotFoundError
from agent_runtime.server.wire import agent_of, reply

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from agent_runtime.agent import Agent

GRAPH_ID = "agent"


def check_id(agent: Agent, assistant_id: str) -> None:
    """Raises NotFoundError unless the id is the agent's, or `agent`."""
    if assistant_id not in {GRAPH_ID, agent.assistant_id}:
        raise NotFoundError(f"there is no assistant {assistant_id}: this server has one, named {GRAPH_ID}")


def describe(agent: Agent) -> dict[str, Any]:
    """The assistant."""
    return {
        "assistant_id": agent.assistant_id,
        "graph_id": GRAPH_ID,
        "name": agent.config.agent.name,
        "description": agent.config.spec.description,
        "config": {},
        "context": {},
        "metadata": {"namespace": agent.config.agent.namespace},
        "version": 1,
        "created_at": agent.started_at,
        "updated_at": agent.started_at,
    }


async def search_assistants(request: Request) -> Response:
    return reply([describe(agent_of(request))])


async def count_assistants(request: Request) -> Response:  # noqa: ARG001 - Starlette passes it
    return reply(1)


async def get_assistant(request: Request) -> Response:
    agent = agent_of(request)
    check_id(agent, request.path_params["assistant_id"])
    return reply(describe(agent))


async def get_graph(request: Request) -> Response:
    agent = agent_of(request)
    check_id(agent, request.path_params["assistant_id"])
    return reply(agent.graph.get_graph(xray=request.query_params.get("xray", "").lower() == "true").to_json())


async def get_schemas(request: Request) -> Response:
    agent = agent_of(request)
    check_id(agent, request.path_params["assistant_id"])
    return reply(
        {
            "graph_id": GRAPH_ID,
            "input_schema": agent.graph.get_input_jsonschema(),
            "output_schema": agent.graph.get_output_jsonschema(),
            "state_schema": None,
            "config_schema": None,
            "context_schema": agent.graph.get_context_jsonschema(),
        }
    )


async def info(request: Request) -> Response:
    agent = agent_of(request)
    try:
        own = version("apm-operator")
    except PackageNotFoundError:
        own = "unknown"
    return reply(
        {
            "version": own,
            "langgraph_py_version": version("langgraph"),
            "flags": {"assistants": True, "crons": False},
            "agent": agent.config.agent.model_dump(),
        }
    )


routes = [
    Route("/assistants/search", search_assistants, methods=["POST"]),
    Route("/assistants/count", count_assistants, methods=["POST"]),
    Route("/assistants/{assistant_id}", get_assistant),
    Route("/assistants/{assistant_id}/graph", get_graph),
    Route("/assistants/{assistant_id}/schemas", get_schemas),
    Route("/info", info),
]
