"""Threads that begin with a state, made of supersteps that a client tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langgraph.errors import InvalidUpdateError
from langgraph.types import Command, StateUpdate
from pydantic import BaseModel, ConfigDict, Field

from agent_runtime.errors import InputError
from agent_runtime.runs.executor import thread_config
from agent_runtime.runs.request import CommandRequest

if TYPE_CHECKING:
    from agent_runtime.runs.service import RunService


class Update(BaseModel):
    """What a node has written, as langgraph-sdk sends it."""

    model_config = ConfigDict(extra="ignore")

    values: Any = None
    command: CommandRequest | None = None
    as_node: str | None = None


class Superstep(BaseModel):
    """What nodes have written side by side."""

    model_config = ConfigDict(extra="ignore")

    updates: list[Update] = Field(min_length=1, max_length=1000)


async def write_supersteps(runs: RunService, thread_id: str, supersteps: Sequence[Superstep]) -> None:
    """Writes one checkpoint for each superstep into a thread that is new.

    Raises:
        InputError: The values do not fit the state, or LangGraph does not take them.
    """
    updates = [[_update(runs, one) for one in step.updates] for step in supersteps]
    async with runs.worker.hold(thread_id):
        try:
            await runs.graph.abulk_update_state(thread_config(thread_id), updates)
        except (InvalidUpdateError, ValueError) as error:
            raise InputError(f"the state can't be made so: {error}") from error


def _update(runs: RunService, asked: Update) -> StateUpdate:
    if asked.command is None:
        return StateUpdate(runs.check_input(asked.values), asked.as_node)
    runs.check_input(asked.command.update)
    command: Any = Command(**asked.command.model_dump(exclude_none=True))
    return StateUpdate(command, asked.as_node)
