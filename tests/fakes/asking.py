"""A graph of somebody's own that asks before it answers."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from agent_runtime.workflow.expiry import expires_at


async def _ask(state: MessagesState) -> dict[str, Any]:
    first = interrupt(f"Really {state['messages'][-1].content}?")
    second = interrupt({"ask": "Who says so?"})
    return {"messages": [AIMessage(f"{first}, says {second}")]}


def build() -> StateGraph[Any]:
    """Asks two questions, by text and by data."""
    graph: StateGraph[Any] = StateGraph(MessagesState)
    graph.add_node("ask", _ask)
    graph.add_edge(START, "ask")
    return graph


async def _both(name: str) -> dict[str, Any]:
    return {"messages": [AIMessage(f"{name}: {interrupt(name)}")]}


async def _left(_: MessagesState) -> dict[str, Any]:
    return await _both("left")


async def _right(_: MessagesState) -> dict[str, Any]:
    return await _both("right")


def two() -> StateGraph[Any]:
    """Asks two things at the same time."""
    graph: StateGraph[Any] = StateGraph(MessagesState)
    for node in (_left, _right):
        graph.add_node(node)
        graph.add_edge(START, node.__name__)
    return graph


async def _gate(_: MessagesState) -> dict[str, Any]:
    asked = {"type": "approval", "ask": "Really?", "choices": ["yes", "no"]}
    return {"messages": [AIMessage(str(interrupt(asked)))]}


def approval() -> StateGraph[Any]:
    """Asks as an `approval` node does."""
    graph: StateGraph[Any] = StateGraph(MessagesState)
    graph.add_node("gate", _gate)
    graph.add_edge(START, "gate")
    return graph


def _waiting(seconds: float) -> StateGraph[Any]:
    async def wait(_: MessagesState) -> dict[str, Any]:
        asked = {"type": "wait", "expires_at": expires_at(seconds)}
        return {"messages": [AIMessage(str(interrupt(asked)))]}

    graph: StateGraph[Any] = StateGraph(MessagesState)
    graph.add_node("wait", wait)
    graph.add_edge(START, "wait")
    return graph


def patient() -> StateGraph[Any]:
    """Waits for half a second at most."""
    return _waiting(0.5)


def calm() -> StateGraph[Any]:
    """Waits for longer than a pod takes that is about to end."""
    return _waiting(4)
