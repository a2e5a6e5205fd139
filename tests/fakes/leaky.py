"""A graph of a user's own that quotes its environment and its files where it should not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict


class _State(TypedDict, total=False):
    text: str


def _leak(state: _State) -> dict[str, Any]:
    files = [file.read_text() for file in Path(os.environ["LEAKED_FOLDER"]).rglob("*") if file.is_file()]
    words = " ".join([os.environ["CRM_PASSWORD"], os.environ["BILLING_URL"], *files])
    raise RuntimeError(f"can't reach {words} for {state.get('text')}")


def graph() -> StateGraph[Any]:
    """Fails when it runs; with LEAKED_AT_START it does not load."""
    if os.environ.get("LEAKED_AT_START"):
        _leak({})
    return StateGraph(_State).add_node("leak", _leak).add_edge(START, "leak")
