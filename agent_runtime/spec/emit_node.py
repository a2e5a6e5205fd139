"""A step that tells the world something."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.node_base import NodeBase
from agent_runtime.spec.scalars import Identifier


class EmitParams(SpecModel):
    """The event that an `emit` node makes."""

    type: str = Field(
        min_length=1,
        max_length=256,
        pattern=r"^[!-)+-~]+$",
        description="Type of the event, such as `com.example.paid`.",
    )
    subject: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="CEL expression over `state`; events of the same subject reach each receiver in order.",
    )
    data: str | None = Field(
        default=None, min_length=1, max_length=2048, description="CEL expression over `state` that is the event's data."
    )
    save: Identifier | None = Field(default=None, description="Channel that keeps the event's id.")


class EmitNode(NodeBase):
    """Puts an event into the agent's log, once however often the step is done again."""

    uses: Literal["emit"]
    with_: EmitParams = Field(alias="with")
