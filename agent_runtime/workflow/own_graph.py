"""Graphs that users bring in their own image."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from agent_runtime.errors import ConfigError


def load_graph(path: str) -> CompiledStateGraph[Any]:
    """The graph at `package.module:attribute`, a StateGraph or a function without arguments that returns one.

    Raises:
        ConfigError: It can't be imported, or is something else.
    """
    module, _, attribute = path.partition(":")
    try:
        found = getattr(import_module(module), attribute)
        if callable(found) and not isinstance(found, StateGraph | CompiledStateGraph):
            found = found()
        graph = found.compile() if isinstance(found, StateGraph) else found
    except Exception as error:
        # Whatever the user's code raises has to reach the resource's condition.
        raise ConfigError(f"the graph {path} can't be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(graph, CompiledStateGraph):
        raise ConfigError(f"{path} is a {type(graph).__name__}: make it a StateGraph, or a function that returns one")
    return graph
