"""A graph of one's own that notes when its node begins."""

from __future__ import annotations

import time
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

BEGUN: dict[str, float] = {}
"""By order, as `time.perf_counter` tells."""


class State(TypedDict):
    order: str


def graph() -> StateGraph[Any]:
    """The graph."""
    built: StateGraph[Any] = StateGraph(State)
    built.add_node("note", _note)
    built.add_edge(START, "note")
    built.add_edge("note", END)
    return built


def _note(state: State) -> dict[str, Any]:
    BEGUN[state["order"]] = time.perf_counter()
    return {}
