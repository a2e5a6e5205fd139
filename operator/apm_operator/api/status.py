"""What the operator reports about an agent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

from agent_runtime.spec.mermaid import LONGEST

Timestamp = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Reason = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=1024)]

LONGEST_TOKEN = 1024
"""Characters that are kept of an annotation, which may have 256 KiB."""


class StatusModel(BaseModel):
    """Base of what the operator writes: unknown fields are left out, so that an older status can be read."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="ignore", frozen=True, populate_by_name=True, protected_namespaces=()
    )


class Condition(StatusModel):
    """One aspect of the state, as in Kubernetes' meta/v1."""

    type: str = Field(max_length=316, description="Aspect: `Ready`, `Reconciling` or `Stalled`.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the aspect holds.")
    observed_generation: int | None = Field(
        default=None, ge=0, description="`metadata.generation` of the spec that the condition speaks of."
    )
    last_transition_time: Timestamp = Field(description="When `status` last changed.")
    reason: Reason = Field(description="Why, in one word for programs.")
    message: str = Field(max_length=32768, description="Why and what to do, for a person.")


class AgentDeploymentStatus(StatusModel):
    """What the operator last saw of an agent."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="`metadata.generation` of the spec that this status speaks of."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=16,
        description="State by aspect; `Reconciling` and `Stalled` are there only while true.",
    )
    replicas: int | None = Field(default=None, ge=0, description="Pods that exist.")
    ready_replicas: int | None = Field(default=None, ge=0, description="Pods that answer requests.")
    selector: str | None = Field(
        default=None, max_length=1024, description="Label selector of the pods, for autoscalers."
    )
    url: str | None = Field(default=None, max_length=1024, description="Address of the agent inside the cluster.")
    workflow: str | None = Field(default=None, max_length=LONGEST, description="The workflow as a Mermaid flow chart.")
    model: str | None = Field(
        default=None,
        max_length=253,
        description="Name of the model `default`, or `scripted`, or `graph` for an own graph.",
    )
    config_hash: str | None = Field(
        default=None, max_length=64, description="Hash of the configuration that the pods are given."
    )
    last_handled_reconcile_at: str | None = Field(
        default=None,
        max_length=LONGEST_TOKEN,
        description="Value of the annotation `apm.valeo-neuroerp.com/reconcile-at` that was handled last.",
    )
