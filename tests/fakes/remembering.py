"""A graph of somebody's own that remembers across threads, in code that waits and in code that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore


def _store(runtime: Runtime[None]) -> BaseStore:
    assert runtime.store is not None
    return runtime.store


async def _recall(_: MessagesState, runtime: Runtime[None]) -> dict[str, Any]:
    found = await _store(runtime).asearch(("said",))
    return {"messages": [AIMessage(", ".join(sorted(item.key for item in found)) or "nothing")]}


def _remember(state: MessagesState, runtime: Runtime[None]) -> None:
    _store(runtime).put(("said",), str(state["messages"][-2].content), {})


def build() -> StateGraph[Any]:
    """Tells what was said before, and remembers what is said now."""
    graph: StateGraph[Any] = StateGraph(MessagesState)
    graph.add_node("recall", _recall)
    graph.add_node("remember", _remember)
    graph.add_edge(START, "recall")
    graph.add_edge("recall", "remember")
    return graph
