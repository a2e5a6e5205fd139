"""The steps of a workflow."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agent_runtime.spec.approval_node import ApprovalNode
from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.breaker import BreakerSpec
from agent_runtime.spec.emit_node import EmitNode
from agent_runtime.spec.node_base import NodeBase
from agent_runtime.spec.scalars import Duration, ExpressionText, Identifier, NodeName, ObjectName
from agent_runtime.spec.secret import SecretKeyRef
from agent_runtime.spec.wait_node import WaitNode


class ModelParams(SpecModel):
    """What a `model` node asks of a model."""

    model: NodeName = Field(default="default", description="Model to ask, by its name in `spec.models`.")
    prompt: str = Field(
        default="",
        max_length=16384,
        description="System prompt; `{{ ... }}` holds a CEL expression over `state`.",
    )
    input: str | None = Field(
        default=None,
        max_length=2048,
        description=(
            "CEL expression whose text is sent as the only message. Without it, the channel `messages` is sent."
        ),
    )
    output: dict[str, Any] | None = Field(
        default=None,
        description="JSON Schema that the answer must fit; the parsed answer is what `save` keeps.",
    )
    tools: tuple[NodeName, ...] = Field(default=(), max_length=32, description="Tools that the model may call.")
    max_tool_rounds: int = Field(default=8, ge=1, le=50, description="Most rounds of tool calls before the node fails.")
    save: Identifier | None = Field(
        default=None,
        description="Channel that keeps the answer. Without it, the answer joins the channel `messages`.",
    )


class SetParams(SpecModel):
    """What a `set` node writes."""

    values: dict[Identifier, ExpressionText] = Field(
        min_length=1, max_length=32, description="Channel to CEL expression over `state`."
    )


class ToolParams(SpecModel):
    """What a `tool` node calls."""

    tool: NodeName = Field(description="Tool to call, by its name in the workflow's `tools`.")
    arguments: dict[str, ExpressionText] = Field(
        default_factory=dict, max_length=32, description="Argument to CEL expression over `state`."
    )
    save: Identifier | None = Field(default=None, description="Channel that keeps the answer of the service.")


class AgentParams(SpecModel):
    """Which other agent an `agent` node asks."""

    ref: ObjectName | None = Field(
        default=None,
        description="Name of the AgentDeployment to ask, in the same namespace. Either this or `url` is set.",
    )
    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#@{}\s]+(/[^?#\s]*)?$",
        max_length=2048,
        description=(
            "Address of an agent outside that speaks A2A 1.0; its card is at `/.well-known/agent-card.json` below. "
            "Either this or `ref` is set."
        ),
    )
    bearer_token_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key whose value is sent to `url` as `Authorization: Bearer`."
    )
    input: str | None = Field(
        default=None,
        max_length=2048,
        description="CEL expression whose text is sent. Without it, the newest message of a person.",
    )
    timeout: Duration = Field(default="2m", description="Time limit of the other agent's run.")
    save: Identifier | None = Field(
        default=None,
        description="Channel that keeps the answer. Without it, the answer joins the channel `messages`.",
    )


class WorkflowParams(SpecModel):
    """Which sub-workflow a `workflow` node runs."""

    ref: NodeName = Field(
        description="Name of the sub-workflow in `spec.workflows`; channels of the same name are shared."
    )


class ModelNode(NodeBase):
    """Asks a language model."""

    uses: Literal["model"]
    with_: ModelParams = Field(default_factory=ModelParams, alias="with")


class SetNode(NodeBase):
    """Computes channels from channels."""

    uses: Literal["set"]
    with_: SetParams = Field(alias="with")


class ToolNode(NodeBase):
    """Calls a tool."""

    uses: Literal["tool"]
    with_: ToolParams = Field(alias="with")


class AgentNode(NodeBase):
    """Asks another agent, in a thread that belongs to this conversation."""

    uses: Literal["agent"]
    with_: AgentParams = Field(alias="with")
    breaker: BreakerSpec | None = Field(
        default=None, description="When the other agent is left alone because it fails again and again."
    )


class WorkflowNode(NodeBase):
    """Runs a sub-workflow."""

    uses: Literal["workflow"]
    with_: WorkflowParams = Field(alias="with")


Node = Annotated[
    ModelNode | SetNode | ToolNode | AgentNode | WorkflowNode | ApprovalNode | EmitNode | WaitNode,
    Field(discriminator="uses"),
]
