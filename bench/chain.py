"""A graph of five nodes, one after the other, that every server runs; the first one notes when it began."""

from __future__ import annotations

import time
from typing import TypedDict

from langgraph.graph import END, START, StateGraph

NODES = 5


class State(TypedDict, total=False):
    """`begun` is by the clock that all processes of the machine share."""

    count: int
    begun: float


async def first(state: State) -> State:
    """Counts, and notes when."""
    return {"count": state["count"] + 1, "begun": time.monotonic()}


async def further(state: State) -> State:
    """Counts."""
    return {"count": state["count"] + 1}


_names = [f"n{number}" for number in range(NODES)]
graph = StateGraph(State)
for _before, _name in zip([START, *_names], _names, strict=False):
    graph.add_node(_name, first if _before == START else further)
    graph.add_edge(_before, _name)
graph.add_edge(_names[-1], END)
