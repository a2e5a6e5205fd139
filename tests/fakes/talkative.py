"""A graph of a user's own that fails in every way it can, each time with the words it was given."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from typing import Annotated, Any, NoReturn

from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy
from typing_extensions import TypedDict


def _refuse(old: str, new: str) -> str:
    if "reducer" in new:
        raise ValueError(new)
    return old + new


class _State(TypedDict, total=False):
    text: Annotated[str, _refuse]


async def _raise(text: str) -> NoReturn:
    raise RuntimeError(text)


def _thread(text: str) -> None:
    raise LookupError(text)


class _Unraisable:
    def __init__(self, text: str) -> None:
        self.text = text

    def __del__(self) -> None:
        raise ValueError(self.text)


async def _talk(state: _State) -> dict[str, Any]:
    text = state["text"]
    logging.getLogger("talkative").warning("heard %s", text)
    logging.getLogger("talkative").error(f"heard {text}")  # noqa: G004 - as careless code does
    warnings.warn(text, stacklevel=1)
    thread = threading.Thread(target=_thread, args=(text,))
    thread.start()
    thread.join()
    _Unraisable(text)
    unseen = asyncio.create_task(_raise(text))
    await asyncio.sleep(0)
    del unseen
    try:
        await _raise(text)
    except RuntimeError as cause:
        error = ValueError(text)
        error.add_note(text)
        raise ExceptionGroup(text, [error]) from cause


def graph() -> StateGraph[Any]:
    """Says aloud what it hears."""
    retry = RetryPolicy(max_attempts=2, initial_interval=0.01, jitter=False, retry_on=lambda _: True)
    return StateGraph(_State).add_node("talk", _talk, retry_policy=retry).add_edge(START, "talk")
