"""Parts of the agent's pods that users set, in the shapes of Kubernetes' core/v1."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.secret import SecretName
from apm_operator.api.quantity import Quantity

MetadataKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$",
        max_length=317,
    ),
]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?$", max_length=63)]
AnnotationValue = Annotated[str, StringConstraints(max_length=16384)]


class ImagePullSecret(SpecModel):
    """A Secret with credentials for an image registry."""

    name: SecretName = Field(description="Name of the Secret, in the same namespace.")


class Resources(SpecModel):
    """CPU, memory and disk of one pod."""

    requests: dict[str, Quantity] = Field(
        default_factory=dict,
        max_length=16,
        description="What a node must have free, such as `{cpu: 100m, memory: 128Mi}`.",
    )
    limits: dict[str, Quantity] = Field(default_factory=dict, max_length=16, description="What a pod may use at most.")


DEFAULT_RESOURCES = Resources(
    requests={"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
    limits={"cpu": "1", "memory": "512Mi", "ephemeral-storage": "512Mi"},
)


class PodMetadata(SpecModel):
    """Labels and annotations for the agent's pods, beside those of the operator."""

    labels: dict[MetadataKey, LabelValue] = Field(
        default_factory=dict, max_length=64, description="Labels added to the pods."
    )
    annotations: dict[MetadataKey, AnnotationValue] = Field(
        default_factory=dict, max_length=64, description="Annotations added to the pods."
    )


class PodTemplate(SpecModel):
    """What is added to the agent's pods."""

    metadata: PodMetadata = Field(default_factory=PodMetadata, description="Labels and annotations added to the pods.")
