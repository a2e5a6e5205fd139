"""A step that waits for a person."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from agent_runtime.spec.approvers import ApproversSpec
from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.edge import Target
from agent_runtime.spec.node_base import NodeBase
from agent_runtime.spec.scalars import Duration, Identifier, NodeName

CHOICE = "choice"
"""The field of an answer that names a route."""


class OnExpire(SpecModel):
    """How a workflow goes on that nobody answered."""

    answer: dict[str, Any] | None = Field(
        default=None,
        max_length=64,
        description="The answer that counts then, such as `{choice: reject}`; it has to fit the schema.",
    )
    to: Target | None = Field(
        default=None,
        description="Node to go to, or `end`, in place of the choice's. Alone, the answer is `{expired: true}`.",
    )


class ApprovalParams(SpecModel):
    """What an `approval` node asks a person."""

    ask: str = Field(
        min_length=1,
        max_length=16384,
        description="What the person is asked; `{{ ... }}` holds a CEL expression over `state`.",
    )
    routes: dict[NodeName, Target] = Field(
        min_length=1,
        max_length=32,
        description="What the person may choose, and the node to go to then, or `end`.",
    )
    schema_: dict[str, Any] | None = Field(
        default=None,
        alias="schema",
        description=(
            "JSON Schema of the answer, an object. Its field `choice`, which names a route, is added to the schema."
        ),
    )
    save: Identifier | None = Field(
        default=None, description="Channel that keeps the answer, an object with `choice` and the schema's fields."
    )
    approvers: ApproversSpec | None = Field(
        default=None,
        description=(
            "Who may answer besides the caller whose run asks. They see the question, and nothing else of the thread."
        ),
    )
    expire: Duration | None = Field(
        default=None, description="How long an answer is waited for, from when the node came to its turn."
    )
    on_expire: OnExpire | None = Field(
        default=None,
        description="What comes when nobody answered in time. Without it the node fails; see `onError` and `fallback`.",
    )

    @property
    def answer(self) -> dict[str, Any]:
        """JSON Schema of the whole answer."""
        asked = self.schema_ or {}
        choice = {"type": "string", "enum": list(self.routes)}
        return {
            **asked,
            "type": "object",
            "properties": {CHOICE: choice, **asked.get("properties", {})},
            "required": [CHOICE, *(name for name in asked.get("required", []) if name != CHOICE)],
        }


class ApprovalNode(NodeBase):
    """Asks a person, and goes on as they choose."""

    uses: Literal["approval"]
    with_: ApprovalParams = Field(alias="with")
