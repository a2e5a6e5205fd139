"""What an agent is: the part of `AgentDeployment.spec` that its pods read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.auth import AuthSpec
from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.budgets import BudgetsSpec
from agent_runtime.spec.cron import CronSpec
from agent_runtime.spec.events import EventsSpec
from agent_runtime.spec.integrations import IntegrationsSpec
from agent_runtime.spec.mcp import MCPServerSpec
from agent_runtime.spec.model import ModelSpec
from agent_runtime.spec.rate_limits import RateLimitsSpec
from agent_runtime.spec.redis import RedisSpec
from agent_runtime.spec.runs import RunsSpec
from agent_runtime.spec.scalars import ObjectName
from agent_runtime.spec.serve import ServeSpec
from agent_runtime.spec.state import StateSpec
from agent_runtime.spec.tracing import TracingSpec
from agent_runtime.spec.workflow import SubWorkflowSpec, WorkflowSpec

GraphPath = Annotated[
    str, StringConstraints(pattern=r"^[a-zA-Z_][\w]*(\.[a-zA-Z_][\w]*)*:[a-zA-Z_][\w]*$", max_length=253)
]
"""`package.module:attribute`, where the attribute is a StateGraph or a function without arguments that returns one."""


class AgentSpec(SpecModel):
    """What an agent is made of, apart from how it is deployed."""

    description: str = Field(default="", max_length=1024, description="What the agent is for, in a sentence.")
    models: tuple[ModelSpec, ...] = Field(
        default=(), max_length=32, description="Language models that the workflow's nodes use by name."
    )
    workflow: WorkflowSpec | None = Field(
        default=None, description="The agent's workflow. Either this or `graph` is set."
    )
    workflows: tuple[SubWorkflowSpec, ...] = Field(
        default=(), max_length=32, description="Sub-workflows that `workflow` nodes run by name."
    )
    graph: GraphPath | None = Field(
        default=None,
        description=(
            "Own LangGraph graph in an own image, as `package.module:attribute`. Either this or `workflow` is set."
        ),
    )
    integrations: IntegrationsSpec | None = Field(
        default=None,
        description="Services for messages, bookings, knowledge and customers, which tools use by name.",
    )
    mcp_servers: tuple[MCPServerSpec, ...] = Field(
        default=(), max_length=32, description="MCP servers whose tools the workflow's tools stand for."
    )
    events: EventsSpec | None = Field(default=None, description="Events that the agent gets, and passes on.")
    runs: RunsSpec | None = Field(default=None, description="How many runs there may be.")
    crons: tuple[CronSpec, ...] = Field(
        default=(), max_length=32, description="Runs that the agent begins by itself, by the clock."
    )
    serve: ServeSpec | None = Field(
        default=None, description="Which protocols the agent speaks beside its own API and A2A."
    )
    state: StateSpec | None = Field(
        default=None,
        description=(
            "Where conversations are kept. Without it they live in the pod's memory, up to 1,000 of them and 64 MiB, "
            "and end with it."
        ),
    )
    auth: AuthSpec | None = Field(
        default=None,
        description=(
            "What proof callers may bring. Without it, only other agents that may call this one are let in, by their "
            "certificates."
        ),
    )
    rate_limits: RateLimitsSpec | None = Field(
        default=None,
        description=(
            "How many runs each caller may start, and how often a workflow may go to each other agent. Without it, as "
            "many as the pods take."
        ),
    )
    budgets: BudgetsSpec | None = Field(
        default=None,
        description=(
            "How many tokens, and how much money, calls of `models` may take within a day; counted in `state.mongodb`, "
            "else in the pod's memory."
        ),
    )
    redis: RedisSpec | None = Field(
        default=None,
        description=(
            "Redis or Valkey in which replicas count together, for `rateLimits` and breakers. Without it each pod "
            "counts by itself."
        ),
    )
    tracing: TracingSpec | None = Field(
        default=None,
        description="Where the agent's traces are sent, by OpenTelemetry. Without it, none are made.",
    )


class AgentIdentity(SpecModel):
    """Which agent a pod belongs to."""

    name: ObjectName
    namespace: ObjectName

    @property
    def key(self) -> str:
        """What the agent is known by in a place that it shares with others: `namespace/name`."""
        return f"{self.namespace}/{self.name}"


class RuntimeConfig(SpecModel):
    """The runtime's config file, a ConfigMap's key `agent.json` that the operator writes."""

    agent: AgentIdentity
    spec: AgentSpec
    peers: dict[ObjectName, str] = Field(
        default_factory=dict, description="Base URL of each agent that the workflow names."
    )
    tls: bool = Field(default=False, description="Whether certificates are mounted, and the port is served with TLS.")
    token_review_url: str | None = Field(
        default=None, description="Where the operator reviews tokens of ServiceAccounts, for `auth.serviceAccounts`."
    )
