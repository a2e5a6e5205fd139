"""What graphs of somebody's own take, also where pydantic has no schema for their state."""

from __future__ import annotations

import operator
import typing
from typing import Annotated, Any

import pytest
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from agent_runtime.graph_input import input_schema
from agent_runtime.mcp.own_tools import OwnTools
from agent_runtime.spec.agent import AgentSpec
from fakes.a2a import COMPLETED, client, message, sent
from fakes.agents import running

OWN = {"graph": "fakes.steps:graph"}


class Plain(typing.TypedDict):
    """As most graphs write it."""

    topic: str
    found: Annotated[list[str], operator.add]


class Some(typing.TypedDict, total=False):
    """May be given without anything."""

    topic: str


class Strange:
    """Has no schema."""


class Odd(typing.TypedDict):
    """Has a field without a schema."""

    thing: Strange


def of(state: type[Any]) -> dict[str, Any]:
    graph: StateGraph[Any] = StateGraph(state)
    graph.add_node("one", lambda _: {})
    graph.add_edge(START, "one")
    return input_schema(graph.compile())


@pytest.mark.parametrize(("state", "required"), [(Plain, ["found", "topic"]), (Some, [])])
def test_a_typed_dict_of_the_standard_library_has_its_fields(state, required):
    found = of(state)
    assert found["properties"]["topic"]["type"] == "string"
    assert sorted(found.get("required", [])) == required


def test_a_field_without_a_schema_may_hold_anything():
    found = of(Odd)
    assert found == {"type": "object", "properties": {"thing": {}}, "required": ["thing"]}


def test_states_that_have_a_schema_keep_it():
    assert "$defs" in of(MessagesState)


async def test_such_a_graph_is_asked_by_a2a():
    async with running(OWN) as it, client(it.url, streaming=False) as caller:
        task = await sent(caller, message({"pause": 0.0, "done": []}))
    assert task.status.state == COMPLETED


class Trip(BaseModel):
    """What a field of a state may be."""

    town: str


class Wishes(MessagesState):
    """A conversation, and a field with a definition of its own."""

    trip: Trip


@pytest.mark.parametrize(("state", "defined"), [(MessagesState, None), (Wishes, ["Trip"])])
async def test_a_tool_has_the_definitions_that_its_arguments_need(state, defined):
    graph: StateGraph[Any] = StateGraph(state)
    graph.add_node("one", lambda _: {})
    graph.add_edge(START, "one")
    (tool, *_) = (await OwnTools.of("tool", AgentSpec(graph="a:b"), graph.compile())).listed()
    found = tool.input_schema.get("$defs")
    assert (None if found is None else list(found)) == defined
