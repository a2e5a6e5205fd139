"""A step that waits for an event."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.edge import Target
from agent_runtime.spec.events import SOURCE_DESCRIPTION, TYPE_DESCRIPTION
from agent_runtime.spec.node_base import NodeBase
from agent_runtime.spec.scalars import Duration, Identifier


class WaitParams(SpecModel):
    """The event that a `wait` node waits for."""

    type: str = Field(min_length=1, max_length=256, description=TYPE_DESCRIPTION)
    source: str | None = Field(default=None, min_length=1, max_length=1024, description=SOURCE_DESCRIPTION)
    subject: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="CEL expression over `state`: the subject that the event must have. Without it, any.",
    )
    filter: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="CEL expression over `event` and `state` that is true for the event waited for.",
    )
    timeout: Duration | None = Field(
        default=None, description="How long to wait; then the node goes on to `onTimeout`, or fails without it."
    )
    on_timeout: Target | None = Field(
        default=None, description="Node to go to, or `end`, when the event did not come in time."
    )
    save: Identifier | None = Field(
        default=None, description="Channel that keeps the event, an object with its attributes and `data`."
    )


class WaitNode(NodeBase):
    """Lets the run rest until an event comes, in whichever pod."""

    uses: Literal["wait"]
    with_: WaitParams = Field(alias="with")
