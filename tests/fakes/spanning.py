"""A graph whose code makes spans of its own, and asks a graph within it."""

from __future__ import annotations

from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from opentelemetry import trace


class State(TypedDict, total=False):
    """What the graph knows."""

    price: int


async def inner(state: State) -> State:
    """A node of the graph within."""
    return {"price": state.get("price", 0) + 1}


async def price(state: State) -> State:
    """A node that asks the graph within, and then makes a span."""
    found: State = await _within.ainvoke(state)
    with trace.get_tracer("shop").start_as_current_span("look up"):
        return found


def _graph(name: str, node: object) -> StateGraph[State]:
    made = StateGraph(State)
    made.add_node(name, node)
    made.add_edge(START, name)
    made.add_edge(name, END)
    return made


_within = _graph("inner", inner).compile()
graph = _graph("price", price)
