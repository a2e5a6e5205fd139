"""The agent as langgraph-sdk's one assistant."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from langgraph.pregel import Pregel
from pydantic import Field
from starlette.routing import Route

from agent_runtime.errors import NotFoundError
from agent_runtime.graph_input import input_schema
from agent_runtime.release import release
from agent_runtime.server.select import selected
from agent_runtime.server.wire import Body, agent_of, read, reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from agent_runtime.agent import Agent

log = structlog.get_logger()

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


class Search(Body):
    metadata: dict[str, Any] = Field(default_factory=dict)
    graph_id: str | None = None
    name: str | None = None
    limit: int = Field(default=10, ge=0)
    offset: int = Field(default=0, ge=0)
    select: tuple[str, ...] | None = None


class Version(Body):
    version: int


async def search_assistants(request: Request) -> Response:
    asked = await read(request, Search)
    return reply([selected(one, asked.select or ()) for one in _fitting(request, asked)])


async def count_assistants(request: Request) -> Response:
    return reply(len(_fitting(request, await read(request, Search))))


def _fitting(request: Request, asked: Search) -> list[dict[str, Any]]:
    """The one assistant, if it fits."""
    one = describe(agent_of(request))
    fits = (
        asked.graph_id in {None, GRAPH_ID}
        and (asked.name or "").lower() in one["name"].lower()
        and all(one["metadata"].get(name) == value for name, value in asked.metadata.items())
    )
    return [one][asked.offset :][: asked.limit] if fits else []


async def list_versions(request: Request) -> Response:
    check_id(agent_of(request), request.path_params["assistant_id"])
    asked = await read(request, Search)
    return reply(_fitting(request, asked))


async def set_latest(request: Request) -> Response:
    agent, asked = agent_of(request), await read(request, Version)
    check_id(agent, request.path_params["assistant_id"])
    if asked.version != 1:
        raise NotFoundError("the agent has one version: its AgentDeployment says what it is")
    return reply(describe(agent))


async def get_subgraphs(request: Request) -> Response:
    agent = agent_of(request)
    check_id(agent, request.path_params["assistant_id"])
    recurse = request.query_params.get("recurse", "").lower() == "true"
    found = agent.graph.get_subgraphs(namespace=request.path_params.get("namespace"), recurse=recurse)
    # Those that are served elsewhere do not tell here what they take.
    return reply({namespace: _schemas(graph) for namespace, graph in found if isinstance(graph, Pregel)})


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
    return reply({"graph_id": GRAPH_ID, **_schemas(agent.graph)})


def _schemas(graph: Pregel[Any, Any, Any, Any]) -> dict[str, Any]:
    """What goes into a graph and comes out of it; what its state is, is known by its values alone."""
    return {
        "input_schema": _schema(partial(input_schema, graph)),
        "output_schema": _schema(graph.get_output_jsonschema),
        "state_schema": None,
        "config_schema": None,
        "context_schema": _schema(graph.get_context_jsonschema),
    }


def _schema(make: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
    """A schema; None where a graph of somebody's own has types that there is none for."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - whatever those types raise
        log.info("a graph's type has no JSON schema", kind=type(error).__name__)
        return None


async def info(request: Request) -> Response:
    agent = agent_of(request)
    return reply(
        {
            "version": release("apm-operator"),
            "langgraph_py_version": release("langgraph"),
            "flags": {"assistants": True, "crons": True},
            "agent": agent.config.agent.model_dump(),
        }
    )


routes = [
    Route("/assistants/search", search_assistants, methods=["POST"]),
    Route("/assistants/count", count_assistants, methods=["POST"]),
    Route("/assistants/{assistant_id}", get_assistant),
    Route("/assistants/{assistant_id}/graph", get_graph),
    Route("/assistants/{assistant_id}/schemas", get_schemas),
    Route("/assistants/{assistant_id}/subgraphs", get_subgraphs),
    Route("/assistants/{assistant_id}/subgraphs/{namespace:path}", get_subgraphs),
    Route("/assistants/{assistant_id}/versions", list_versions, methods=["POST"]),
    Route("/assistants/{assistant_id}/latest", set_latest, methods=["POST"]),
    Route("/info", info),
]
