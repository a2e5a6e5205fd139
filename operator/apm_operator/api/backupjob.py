"""What the resources of backups have in common: their MongoDB, and the pods that do the work."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import Duration, ObjectName
from agent_runtime.spec.secret import SecretKeyRef
from agent_runtime.spec.state import MongoDBTLSSpec
from apm_operator.api.agentdeployment import Image, PriorityClassName
from apm_operator.api.network import NetworkPeer, refuse_wide
from apm_operator.api.pods import ImagePullSecret, LabelValue, MetadataKey, Resources
from apm_operator.api.scheduling import Toleration
from apm_operator.api.status import StatusModel

DEFAULT_JOB_RESOURCES = Resources(
    requests={"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
    limits={"cpu": "2", "memory": "256Mi", "ephemeral-storage": "512Mi"},
)


class MongoDBServer(SpecModel):
    """A MongoDB server or replica set."""

    uri_secret_ref: SecretKeyRef = Field(
        description="Secret key that holds the connection string, such as `mongodb://user:password@host:27017/`."
    )
    tls: MongoDBTLSSpec | None = Field(
        default=None,
        description="Connect with TLS, and trust these authorities only. Without it, as the connection string says.",
    )


class JobPods(SpecModel):
    """How the pods of Jobs run."""

    image: Image | None = Field(default=None, description="Image of the Jobs; by default the operator's.")
    image_pull_secrets: tuple[ImagePullSecret, ...] = Field(
        default=(), max_length=16, description="Secrets with credentials for the image's registry."
    )
    resources: Resources = Field(default=DEFAULT_JOB_RESOURCES, description="CPU, memory and disk of each pod.")
    node_selector: dict[MetadataKey, LabelValue] = Field(
        default_factory=dict, max_length=32, description="Labels that a node must have."
    )
    tolerations: tuple[Toleration, ...] = Field(
        default=(), max_length=32, description="Taints of nodes that the pods put up with."
    )
    affinity: dict[str, Any] | None = Field(
        default=None, description="Affinity of the pods, as in Kubernetes' core/v1."
    )
    priority_class_name: PriorityClassName | None = Field(default=None, description="PriorityClass of the pods.")
    timeout: Duration = Field(default="12h", description="A Job that takes longer has failed.")


class JobTemplate(JobPods):
    """How the Jobs' pods run."""

    image: Image | None = Field(default=None, description="Image of the backup Jobs; by default the operator's.")
    wait_timeout: Duration = Field(
        default="1h", description="How long a Job waits for another one on the same MongoDB or storage."
    )


class JobNetwork(SpecModel):
    """What the Jobs' NetworkPolicy lets out, beside MongoDB, the storage, DNS and the API server."""

    egress_to: tuple[NetworkPeer, ...] = Field(
        default=(), max_length=64, description="Where the Jobs may connect to as well, such as addresses of a bucket."
    )
    allow_internet: bool = Field(default=False, description="Let the Jobs connect to every public address.")

    @model_validator(mode="after")
    def _no_internet_by_the_way(self) -> Self:
        if not self.allow_internet:
            refuse_wide(self.egress_to)
        return self


class PolicyRef(SpecModel):
    """A BackupPolicy."""

    name: ObjectName = Field(description="Name of the BackupPolicy, in the same namespace.")


class JobProgress(StatusModel):
    """How far a Job is."""

    documents: int = Field(default=0, ge=0, description="Documents so far.")
    bytes: int = Field(default=0, ge=0, description="Bytes so far.")
    percent: int | None = Field(default=None, ge=0, le=100, description="Of the phase, where the whole is known.")
