"""A graph of three steps whose nodes tell in a file that they began and ended, and how."""

from __future__ import annotations

import asyncio
import operator
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    """`file` is where to tell it; a step takes `pause` seconds, and step `two` blocks the event loop for `block`."""

    file: str
    pause: float
    block: float
    done: Annotated[list[str], operator.add]


NAMES = ("one", "two", "three")


def _step(name: str) -> Callable[[State], Awaitable[State]]:
    async def step(state: State) -> State:
        _tell(state, f"{name} begins {os.getpid()}")
        get_stream_writer()({"begins": name})
        await asyncio.sleep(state.get("pause", 0.0))
        if name == "two" and state.get("block"):
            time.sleep(state["block"])  # noqa: ASYNC251 - as code of users does
        _tell(state, f"{name} ends {os.getpid()}")
        return {"done": [name]}

    return step


def _tell(state: State, line: str) -> None:
    if state.get("file"):
        with Path(state["file"]).open("a") as file:
            file.write(f"{line} {time.monotonic():.3f}\n")


graph = StateGraph(State)
for _name in NAMES:
    graph.add_node(_name, _step(_name))
for _before, _after in zip((START, *NAMES), (*NAMES, END), strict=True):
    graph.add_edge(_before, _after)
