"""A graph whose node `inner` is a graph of its own, which asks a person between its two steps."""

from __future__ import annotations

import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]


def _first(_: State) -> State:
    return {"said": ["first"]}


def _ask(_: State) -> State:
    return {"said": [str(interrupt({"question": "Go on?"}))]}


def _last(_: State) -> State:
    return {"said": ["last"]}


_inner = StateGraph(State)
_inner.add_node("first", _first)
_inner.add_node("ask", _ask)
_inner.add_edge(START, "first")
_inner.add_edge("first", "ask")
_inner.add_edge("ask", END)

graph = StateGraph(State)
graph.add_node("inner", _inner.compile())
graph.add_node("last", _last)
graph.add_edge(START, "inner")
graph.add_edge("inner", "last")
graph.add_edge("last", END)
