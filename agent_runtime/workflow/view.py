"""The state as expressions see it: plain data with a value for every channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import convert_to_messages

from agent_runtime.models.view import message_view

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_runtime.spec.channel import ChannelSpec

_ZERO: dict[str, Any] = {
    "messages": [],
    "string": "",
    "integer": 0,
    "number": 0.0,
    "boolean": False,
    "array": [],
    "object": {},
    "any": None,
}


def state_view(state: Mapping[str, Any], channels: Mapping[str, ChannelSpec]) -> dict[str, Any]:
    """The variable `state`: what was written, and the empty value of its type for what was not."""
    view = dict(state)
    for name, channel in channels.items():
        value = view.get(name)
        if value is None:
            view[name] = channel.default if channel.default is not None else _ZERO[channel.type]
        elif channel.type == "messages":
            view[name] = [message_view(message) for message in convert_to_messages(value)]
    return view
