"""The steps of a workflow."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.edge import Next
from agent_runtime.spec.scalars import Duration, ExpressionText, Identifier, NodeName, ObjectName, Pause

ErrorKind = Literal["Timeout", "Connection", "RateLimit", "5xx", "Any"]


class RetrySpec(SpecModel):
    """When and how often a failed node runs again."""

    attempts: int = Field(default=3, ge=1, le=20, description="Attempts in all, the first one included.")
    initial: Pause = Field(default="500ms", description="Pause before the second attempt.")
    factor: float = Field(default=2.0, ge=1, le=10, description="Factor by which the pause grows.")
    max: Pause = Field(default="30s", description="Longest pause.")
    errors: tuple[ErrorKind, ...] = Field(
        default=("Timeout", "Connection", "RateLimit", "5xx"),
        max_length=5,
        description="Kinds of failure that are tried again.",
    )


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

    ref: ObjectName = Field(description="Name of the AgentDeployment to ask, in the same namespace.")
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


class NodeBase(SpecModel):
    """What all nodes have."""

    name: NodeName = Field(description="Name of the node, unique in its workflow; not `end`.")
    next: Next | None = Field(
        default=None,
        description=(
            "Where to go next: a node's name or `end`; a list of them, which run in parallel; "
            "`{switch: [{when: CEL, to: node}], else: node}`; `{forEach: CEL, as: name, to: node, max: 20}`; "
            "or `{handoff: [nodes], else: node}`. Without it, the workflow ends here, unless a node `needs` this one."
        ),
    )
    needs: tuple[NodeName, ...] = Field(
        default=(),
        max_length=32,
        description="Nodes that must all have finished before this one starts (a join).",
    )
    defer: bool = Field(
        default=False,
        description="Start only when nothing else is left to run: gathers the results of a forEach.",
    )
    retry: RetrySpec | None = Field(
        default=None, description="When the node is tried again; overrides `defaults.retry`."
    )
    timeout: Duration | None = Field(
        default=None, description="Time limit of one attempt; overrides `defaults.timeout`."
    )
    on_error: NodeName | None = Field(
        default=None,
        description="Node to go to, or `end`, when the node has failed for good; the run then goes on.",
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


class WorkflowNode(NodeBase):
    """Runs a sub-workflow."""

    uses: Literal["workflow"]
    with_: WorkflowParams = Field(alias="with")


Node = Annotated[ModelNode | SetNode | ToolNode | AgentNode | WorkflowNode, Field(discriminator="uses")]
