"""The ways between nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.graph import END, START
from langgraph.types import Send

from agent_runtime.errors import WorkflowError
from agent_runtime.spec.edge import ForEach, Handoff, Switch
from agent_runtime.spec.expression import Expression
from agent_runtime.spec.scalars import END as END_NAME
from agent_runtime.spec.size import exceeds

if TYPE_CHECKING:
    from collections.abc import Callable

    from langgraph.graph import StateGraph

    from agent_runtime.spec.node import Node
    from agent_runtime.workflow.parts import Parts

    Router = Callable[[dict[str, Any]], Any]


_LARGEST_FAN = 64 << 20
"""Bytes of state that a `forEach` may hand out; a checkpoint keeps each copy."""


def target(name: str) -> str:
    """A target of the spec as LangGraph names it."""
    return END if name == END_NAME else name


def connect(graph: StateGraph[Any], parts: Parts) -> None:
    """Adds the edges of a workflow whose nodes are there."""
    nodes = {node.name: node for node in parts.workflow.nodes}
    for name in parts.workflow.starts:
        graph.add_edge(START, name)
    for node in parts.workflow.nodes:
        if node.needs:
            graph.add_edge(list(node.needs), node.name)
        _leave(graph, node, nodes, parts)


def _leave(graph: StateGraph[Any], node: Node, nodes: dict[str, Node], parts: Parts) -> None:
    match node.next:
        case str(name):
            graph.add_edge(node.name, target(name))
        case tuple(names):
            for name in names:
                graph.add_edge(node.name, target(name))
        case Switch() as switch:
            targets = [target(name) for name in (*(case.to for case in switch.switch), switch.otherwise)]
            graph.add_conditional_edges(node.name, _switch(switch, parts), list(dict.fromkeys(targets)))
        case ForEach() as each:
            after = _after_none(nodes[each.to])
            graph.add_conditional_edges(
                node.name, _for_each(node.name, each, after, parts), list(dict.fromkeys([each.to, *after]))
            )
        case Handoff() | None:
            pass


def _switch(switch: Switch, parts: Parts) -> Router:
    cases = [(Expression.compile(case.when), target(case.to)) for case in switch.switch]

    async def route(state: dict[str, Any]) -> str:
        variables = {"state": parts.view(state)}
        for when, to in cases:
            if await when.holds(variables):
                return to
        return target(switch.otherwise)

    return route


def _for_each(name: str, each: ForEach, after: list[str], parts: Parts) -> Router:
    expression = Expression.compile(each.for_each)

    async def route(state: dict[str, Any]) -> list[Send] | list[str]:
        items = await expression.evaluate(state=parts.view(state))
        if not isinstance(items, list):
            raise WorkflowError(f"`forEach` of node `{name}` must yield a list, and yields {type(items).__name__}")
        if each.max is not None and len(items) > each.max:
            raise WorkflowError(
                f"`forEach` of node `{name}` yields {len(items)} items, more than its `max` of {each.max}"
            )
        if items and exceeds(state, _LARGEST_FAN // len(items)):
            raise WorkflowError(
                f"`forEach` of node `{name}` would copy more than {_LARGEST_FAN >> 20} MiB, since each of "
                f"{len(items)} items goes with the whole state: keep less in the state, or let fewer items go at once"
            )
        return [Send(each.to, {**state, each.as_: item}) for item in items] or after

    return route


def _after_none(node: Node) -> list[str]:
    """Where an empty `forEach` goes: past its node, if that node always goes on the same way."""
    match node.next:
        case str(name):
            return [target(name)]
        case tuple(names):
            return [target(name) for name in names]
        case _:
            return [END]
