"""The custom resource AgentDeployment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from agent_runtime.spec.agent import AgentSpec
from apm_operator.api.autoscaling import Autoscaling
from apm_operator.api.env import EnvFrom, EnvVar
from apm_operator.api.network import Network
from apm_operator.api.permissions import Permission
from apm_operator.api.pods import (
    DEFAULT_RESOURCES,
    ImagePullSecret,
    LabelValue,
    MetadataKey,
    PodTemplate,
    Resources,
)
from apm_operator.api.problems import describe
from apm_operator.api.scheduling import Toleration, TopologySpreadConstraint
from apm_operator.api.status import AgentDeploymentStatus
from apm_operator.api.tls import Tls
from apm_operator.errors import InvalidSpec

Image = Annotated[str, StringConstraints(pattern=r"^[^\s]+$", max_length=512)]
PriorityClassName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]

_DEEPEST = 64
"""Levels below a field of the spec. Some fields take any JSON, of which the API server lets 10,000 levels pass."""


class AgentDeploymentSpec(AgentSpec):
    """What an agent is made of and how it is deployed."""

    replicas: int = Field(
        default=1,
        ge=0,
        le=1000,
        description=(
            "Number of pods; more than one needs `state`. With `autoscaling`, 0 ends all pods, and any other number "
            "leaves it to the autoscaler."
        ),
    )
    autoscaling: Autoscaling | None = Field(
        default=None, description="Have the number of pods follow the load; needs `state`."
    )
    image: Image | None = Field(
        default=None, description="Own image of the runtime; needed with `graph`. By default the operator's."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When the image is pulled. By default as the operator is set."
    )
    image_pull_secrets: tuple[ImagePullSecret, ...] = Field(
        default=(), max_length=16, description="Secrets with credentials for the image's registry."
    )
    env: tuple[EnvVar, ...] = Field(
        default=(), max_length=128, description="Environment variables of the agent's container."
    )
    env_from: tuple[EnvFrom, ...] = Field(
        default=(), max_length=32, description="ConfigMaps and Secrets whose keys become variables."
    )
    resources: Resources = Field(
        default=DEFAULT_RESOURCES,
        description="CPU, memory and disk of each pod. Every limit that is left out is the default's, or the request.",
    )
    node_selector: dict[MetadataKey, LabelValue] = Field(
        default_factory=dict, max_length=32, description="Labels that a node must have."
    )
    tolerations: tuple[Toleration, ...] = Field(
        default=(), max_length=32, description="Taints of nodes that the pods put up with."
    )
    affinity: dict[str, Any] | None = Field(
        default=None, description="Affinity of the pods, as in Kubernetes' core/v1."
    )
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = Field(
        default=(),
        max_length=16,
        description="How the pods are spread. By default evenly over nodes, from two replicas on.",
    )
    priority_class_name: PriorityClassName | None = Field(default=None, description="PriorityClass of the pods.")
    pod_template: PodTemplate = Field(
        default_factory=PodTemplate, description="Labels and annotations added to the pods."
    )
    permissions: tuple[Permission, ...] = Field(
        default=(),
        max_length=16,
        description="What the agent may do in the Kubernetes API, in its own namespace. By default nothing.",
    )
    network: Network = Field(
        default_factory=Network,
        description="Whom the agent's pods may talk to, beside those that the rest of the spec names.",
    )
    tls: Tls = Field(default_factory=Tls, description="How the agent's connections are encrypted.")
    suspend: bool = Field(
        default=False, description="Leave everything as it is: changes wait until this is false again."
    )

    @property
    def scales_itself(self) -> bool:
        """Whether an autoscaler sets the number of pods."""
        return self.autoscaling is not None and self.replicas > 0

    @property
    def most_replicas(self) -> int:
        """How many pods there may be. Autoscaling does not change it, so that no pod's template does."""
        return self.replicas if self.autoscaling is None else self.autoscaling.max_replicas

    @property
    def shown_model(self) -> str:
        """What `status.model` says: the model's name, `scripted`, or `graph` for an own graph."""
        if not self.models:
            return "graph" if self.graph else ""
        model = next((model for model in self.models if model.name == "default"), self.models[0])
        return "scripted" if model.provider == "scripted" else model.model


class Metadata(BaseModel):
    """The part of an object's metadata that the operator reads."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, populate_by_name=True)

    name: str
    namespace: str
    uid: str
    generation: int = 0
    annotations: dict[str, str] = Field(default_factory=dict)
    deletion_timestamp: str | None = None


class AgentDeployment(BaseModel):
    """One agent as a user wrote it, with what the operator last reported about it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    metadata: Metadata
    spec: AgentDeploymentSpec
    status: AgentDeploymentStatus = Field(default_factory=AgentDeploymentStatus)

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> AgentDeployment:
        """Read an object as the API server gives it.

        A status that can't be read counts as empty: it is the operator's own, and is written anew.

        Raises:
            InvalidSpec: the spec breaks a rule that the CRD does not enforce; names each field and what to do.
        """
        metadata = Metadata.model_validate(body["metadata"])
        written = body.get("spec", {})
        fields = written.items() if isinstance(written, Mapping) else ()
        if deep := [f"`spec.{name}`" for name, value in fields if _depth(value) > _DEEPEST]:
            raise InvalidSpec(f"{', '.join(deep)} is nested deeper than {_DEEPEST} levels: make it flatter")
        try:
            spec = AgentDeploymentSpec.model_validate(written)
        except ValidationError as error:
            raise InvalidSpec("; ".join(describe(error, written))) from error
        try:
            status = AgentDeploymentStatus.model_validate(body.get("status") or {})
        except ValidationError:
            status = AgentDeploymentStatus()
        return cls(metadata=metadata, spec=spec, status=status)


def _depth(value: Any) -> int:
    """Levels of lists and objects in a JSON value; counted level by level, since recursion has its own limit."""
    levels, level = 0, [value]
    while level := [inner for outer in level for inner in _inside(outer)]:
        levels += 1
    return levels


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
