"""How the number of an agent's pods follows its load."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import seconds

LONGEST_STABILIZATION = "1h"
"""HorizontalPodAutoscaler's own limit: 3,600 s."""
TOO_LONG = f"`scaleDownStabilization` must be at most `{LONGEST_STABILIZATION}`"
FEWEST_ABOVE_MOST = "`minReplicas` is larger than `maxReplicas`: lower it, or raise `maxReplicas`"
NO_TARGET = (
    "set at least one of `targetCPUUtilizationPercentage`, `targetMemoryUtilizationPercentage` and `targetQueueDepth`"
)
NONE_WITHOUT_QUEUE = "`minReplicas: 0` needs `targetQueueDepth`, which tells when a pod is wanted again: set it, or 1"


def _within(duration: str) -> str:
    if seconds(duration) > seconds(LONGEST_STABILIZATION):
        raise ValueError(TOO_LONG)
    return duration


Stabilization = Annotated[
    str, StringConstraints(pattern=r"^([0-9]{1,8}(s|m|h))+$", max_length=32), AfterValidator(_within)
]
"""A length of time, which may be zero, in the units that Kubernetes' CEL knows."""
Percentage = Annotated[int, Field(ge=1, le=10_000)]
"""Of what the pods request; more than 100 where they may use more than that."""


class Autoscaling(SpecModel):
    """Bounds and targets of a HorizontalPodAutoscaler, or of KEDA's ScaledObject."""

    min_replicas: int = Field(default=1, ge=0, le=1000, description="Fewest pods; 0 needs `targetQueueDepth`.")
    max_replicas: int = Field(ge=1, le=1000, description="Most pods.")
    target_cpu_utilization_percentage: Percentage | None = Field(
        default=None,
        alias="targetCPUUtilizationPercentage",
        description="CPU that the pods use on average, in percent of `resources.requests.cpu`.",
    )
    target_memory_utilization_percentage: Percentage | None = Field(
        default=None,
        description="Memory that the pods use on average, in percent of `resources.requests.memory`.",
    )
    target_queue_depth: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description=(
            "Runs and events per pod that wait or are worked on, on average, as `state.mongodb` tells. Needs KEDA in "
            "the cluster."
        ),
    )
    scale_down_stabilization: Stabilization = Field(
        default="5m",
        description=(
            "There are as many pods as were wanted at some time within this last while, at most `1h`; so that a short "
            "lull ends none."
        ),
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(FEWEST_ABOVE_MOST)
        if not self.resource_targets and self.target_queue_depth is None:
            raise ValueError(NO_TARGET)
        if not self.min_replicas and self.target_queue_depth is None:
            raise ValueError(NONE_WITHOUT_QUEUE)
        return self

    @property
    def resource_targets(self) -> dict[str, int]:
        """Percent of what the pods request, by resource."""
        targets = {
            "cpu": self.target_cpu_utilization_percentage,
            "memory": self.target_memory_utilization_percentage,
        }
        return {name: target for name, target in targets.items() if target is not None}
