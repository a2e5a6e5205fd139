from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.channel import ChannelSpec
from agent_runtime.spec.node import Node
from agent_runtime.spec.node_base import RetrySpec
from agent_runtime.spec.scalars import Duration, Identifier, NodeName
from agent_runtime.spec.tool import ToolSpec


class LimitsSpec(SpecModel):
    """Bounds of one run."""

    steps: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Most supersteps of a run; required where the workflow has a cycle.",
    )
    wall_clock: Duration | None = Field(default=None, description="Longest time of a run, such as `5m`.")


class DefaultsSpec(SpecModel):
    """Settings of every node that has none of its own."""

    retry: RetrySpec | None = Field(default=None, description="When a failed node is tried again.")
    timeout: Duration | None = Field(default=None, description="Time limit of one attempt of a node.")


class WorkflowSpec(SpecModel):
    """A graph of nodes over a typed state. Maps one to one onto a LangGraph StateGraph."""

    state: dict[Identifier, ChannelSpec] = Field(
        default_factory=lambda: {"messages": ChannelSpec(type="messages")},
        max_length=64,
        description="Fields of the state, by name. By default one conversation, `messages`.",
    )
    start: NodeName | Annotated[tuple[NodeName, ...], Field(min_length=1, max_length=32)] = Field(
        description="Node that runs first, or a list of nodes that start in parallel."
    )
    nodes: tuple[Node, ...] = Field(min_length=1, max_length=100, description="Steps of the workflow.")
    tools: tuple[ToolSpec, ...] = Field(default=(), max_length=64, description="Tools that nodes and models may call.")
    limits: LimitsSpec = Field(default_factory=LimitsSpec, description="Bounds of one run.")
    defaults: DefaultsSpec = Field(
        default_factory=DefaultsSpec, description="Settings of nodes that have none of their own."
    )

    @property
    def starts(self) -> tuple[str, ...]:
        """The nodes that run first."""
        return (self.start,) if isinstance(self.start, str) else self.start


class SubWorkflowSpec(WorkflowSpec):
    """A workflow that other workflows of the same agent can run as one node."""

    name: NodeName = Field(description="Name by which `workflow` nodes refer to it.")
