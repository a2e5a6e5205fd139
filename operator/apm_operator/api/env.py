"""Environment of the agent's container, in the shapes of Kubernetes' core/v1."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.secret import SecretKey, SecretName
from apm_operator.api.quantity import Quantity

EnvName = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$", max_length=253)]


class KeySelector(SpecModel):
    """One key of a ConfigMap or Secret in the agent's namespace."""

    name: SecretName = Field(description="Name of the object, in the same namespace.")
    key: SecretKey = Field(description="Key inside the object whose value is used.")
    optional: bool | None = Field(
        default=None, description="Start without the variable where the object or its key is missing."
    )


class FieldSelector(SpecModel):
    """A field of the pod itself."""

    api_version: str | None = Field(
        default=None, max_length=32, description="Version of the pod's schema; `v1` by default."
    )
    field_path: str = Field(max_length=253, description="Path of the field, such as `status.podIP`.")


class ResourceSelector(SpecModel):
    """A resource of the container."""

    container_name: str | None = Field(
        default=None, max_length=63, description="Container whose resource is meant; `agent` by default."
    )
    resource: str = Field(max_length=253, description="Resource, such as `limits.memory`.")
    divisor: Quantity | None = Field(default=None, description="Unit of the value, such as `1Mi`.")


class EnvSource(SpecModel):
    """Where the value of a variable comes from."""

    secret_key_ref: KeySelector | None = Field(default=None, description="Takes the value from a Secret.")
    config_map_key_ref: KeySelector | None = Field(default=None, description="Takes the value from a ConfigMap.")
    field_ref: FieldSelector | None = Field(default=None, description="Takes the value from the pod itself.")
    resource_field_ref: ResourceSelector | None = Field(
        default=None, description="Takes the value from the container's resources."
    )


class EnvVar(SpecModel):
    """One environment variable."""

    name: EnvName = Field(
        description="Name of the variable; not `POD_NAME`, `POD_NAMESPACE` or one that begins with `APM_`."
    )
    value: str | None = Field(default=None, max_length=32768, description="Value, as text. No secrets here.")
    value_from: EnvSource | None = Field(default=None, description="Where the value comes from, in place of `value`.")


class EnvObjectRef(SpecModel):
    """A whole ConfigMap or Secret in the agent's namespace."""

    name: SecretName = Field(description="Name of the object, in the same namespace.")
    optional: bool | None = Field(default=None, description="Start although the object is missing.")


class EnvFrom(SpecModel):
    """Variables from all keys of one ConfigMap or Secret."""

    prefix: str | None = Field(
        default=None, max_length=253, description="Text put before each key to make the variable's name."
    )
    config_map_ref: EnvObjectRef | None = Field(default=None, description="ConfigMap whose keys become variables.")
    secret_ref: EnvObjectRef | None = Field(default=None, description="Secret whose keys become variables.")
