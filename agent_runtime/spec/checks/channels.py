from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agent_runtime.spec.channel import ChannelSpec
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.workflow import WorkflowSpec

_REDUCES = {
    "append": ("array",),
    "union": ("array",),
    "merge": ("object",),
    "sum": ("integer", "number"),
    "max": ("integer", "number"),
}
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
}


def check_channels(workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    """Reducers and defaults fit the channels' types."""
    for name, channel in workflow.state.items():
        where = f"{path}.state.{name}"
        fitting = _REDUCES.get(channel.reduce or "replace")
        if channel.type == "messages" and channel.reduce is not None:
            yield Problem(f"{where}.reduce", "remove it: a channel of type `messages` has its own reducer")
        elif fitting and channel.type not in (*fitting, "any"):
            yield Problem(
                f"{where}.reduce",
                f"`{channel.reduce}` works on {' or '.join(fitting)}, not on {channel.type}",
            )
        if channel.default is not None and not _fits(channel, channel.default):
            yield Problem(f"{where}.default", f"must be of type {channel.type}")


def _fits(channel: ChannelSpec, value: Any) -> bool:
    if channel.type in ("any", "messages"):
        return channel.type == "any"
    if isinstance(value, bool):
        return channel.type == "boolean"
    return isinstance(value, _PYTHON[channel.type])
