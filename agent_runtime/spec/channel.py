from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from agent_runtime.spec.base import SpecModel

ChannelType = Literal["messages", "string", "integer", "number", "boolean", "array", "object", "any"]
Reducer = Literal["replace", "append", "merge", "sum", "max", "union"]


class ChannelSpec(SpecModel):
    """One field of a workflow's state."""

    type: ChannelType = Field(
        description="Type of the value; `messages` is a conversation, whose new messages are added by id."
    )
    reduce: Reducer | None = Field(
        default=None,
        description=(
            "How a new value meets the old one: `replace` (default), `append` or `union` (arrays), `merge` (objects), "
            "`sum` or `max` (numbers). Needed where nodes that run in parallel write the same field."
        ),
    )
    default: Any = Field(default=None, description="Value at the start of a thread.")
