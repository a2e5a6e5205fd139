"""Input of runs, checked against the workflow's state before a run is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_runtime.errors import InputError, WorkflowError
from agent_runtime.workflow.channels import fit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_runtime.spec.channel import ChannelSpec


def check_input(value: Any, channels: Mapping[str, ChannelSpec]) -> Any:
    """The input as the channels take it, as plain data.

    Raises:
        InputError: It is no object, names a channel that is not there, or has a value of the wrong type.
    """
    if value is None:
        return value
    if not isinstance(value, dict):
        raise InputError(f"`input` must be an object with some of the fields {_list(channels)}")
    fitting = {}
    for name, given in value.items():
        if name not in channels:
            raise InputError(f"`input.{name}`: the workflow's state has no such field; it has {_list(channels)}")
        try:
            fitted = fit(name, channels[name], given)
        except WorkflowError as error:
            raise InputError(f"`input.{name}`: {error}") from None
        fitting[name] = given if channels[name].type == "messages" else fitted
    return fitting


def refuse_unfit(value: Any) -> Any:
    """For graphs of the user's own: any input but none."""
    if value is None:
        return value
    if not isinstance(value, dict | list | str):
        raise InputError("`input` must be an object, a list or a string")
    return value


def _list(channels: Mapping[str, ChannelSpec]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(channels))
