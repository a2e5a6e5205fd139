"""Where pods may run, in the shapes of Kubernetes' core/v1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from apm_operator.api.pods import LabelValue, MetadataKey


class Toleration(SpecModel):
    """A taint of nodes that the pods put up with."""

    key: MetadataKey | None = Field(default=None, description="Key of the taint; without it, any key.")
    operator: Literal["Exists", "Equal"] | None = Field(
        default=None, description="How `value` is compared: `Equal` (default) or `Exists` (any value)."
    )
    value: LabelValue | None = Field(default=None, description="Value of the taint, for `Equal`.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; without it, all effects."
    )
    toleration_seconds: int | None = Field(
        default=None, ge=0, description="Seconds that a pod stays on a node with a `NoExecute` taint."
    )


class LabelRequirement(SpecModel):
    """A condition on one label."""

    key: MetadataKey = Field(description="Key of the label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="How the label's value is compared with `values`."
    )
    values: tuple[LabelValue, ...] = Field(
        default=(), max_length=64, description="Values for `In` and `NotIn`; empty otherwise."
    )


class LabelSelector(SpecModel):
    """Which pods are counted."""

    match_labels: dict[MetadataKey, LabelValue] = Field(
        default_factory=dict, max_length=64, description="Labels that a pod must have."
    )
    match_expressions: tuple[LabelRequirement, ...] = Field(
        default=(), max_length=32, description="Conditions that a pod's labels must fulfil."
    )


NodePolicy = Literal["Honor", "Ignore"]
LabelKeyName = Annotated[str, StringConstraints(max_length=317)]


class TopologySpreadConstraint(SpecModel):
    """How evenly the pods are spread over zones or nodes."""

    max_skew: int = Field(ge=1, description="Largest difference in the number of pods between two domains.")
    topology_key: MetadataKey = Field(
        description="Label of nodes that names the domain, such as `topology.kubernetes.io/zone`."
    )
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        description="Whether a pod that can't be spread waits or runs anyway."
    )
    label_selector: LabelSelector | None = Field(
        default=None, description="Pods that are counted; without it, the pods of this agent."
    )
    min_domains: int | None = Field(
        default=None, ge=1, description="Number of domains below which the spread counts as uneven."
    )
    node_affinity_policy: NodePolicy | None = Field(
        default=None, description="Whether nodes that the affinity rules out are counted."
    )
    node_taints_policy: NodePolicy | None = Field(
        default=None, description="Whether nodes with taints that are not tolerated are counted."
    )
    match_label_keys: tuple[LabelKeyName, ...] = Field(
        default=(), max_length=16, description="Keys of labels whose values must match the new pod's."
    )
