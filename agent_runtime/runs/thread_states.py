"""The states of a thread, one after the other, whoever writes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent_runtime.runs.executor import thread_config
from agent_runtime.runs.following import patiently

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langgraph.types import StateSnapshot

    from agent_runtime.runs.service import RunService

_LOOK = 0.5
"""Seconds between looks for a new state; of several that come within this time, the newest is told."""


async def thread_states(runs: RunService, thread_id: str, after: str | None) -> AsyncIterator[StateSnapshot]:
    """States that come, without an end.

    With `after`, which is the checkpoint of a state that was told, also the newest one if it is another.
    """
    config = thread_config(thread_id)
    last = after
    if last is None:
        last = checkpoint_of(await patiently(lambda: runs.graph.aget_state(config)))
    while True:
        state = await patiently(lambda: runs.graph.aget_state(config))
        found = checkpoint_of(state)
        if found not in {"", last}:
            last = found
            yield state
        await asyncio.sleep(_LOOK)


def checkpoint_of(state: StateSnapshot) -> str:
    """The id of a state's checkpoint; "" for a thread that has none yet."""
    return str(state.config.get("configurable", {}).get("checkpoint_id") or "")
