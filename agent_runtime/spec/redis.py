from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.secret import SecretKeyRef

HostName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$", min_length=1, max_length=253)
]


class RedisTLSSpec(SpecModel):
    """TLS between the agent and Redis."""

    ca_secret_ref: SecretKeyRef = Field(
        description="Secret key with the certificates, as PEM, of the authorities that Redis's certificate may be of."
    )


class RedisSpec(SpecModel):
    """The Redis or Valkey in which an agent's replicas count together; nothing in it has to be kept."""

    host: HostName = Field(description="Host name or IPv4 address, such as `valkey.redis.svc`.")
    port: int = Field(default=6379, ge=1, le=65535, description="Port.")
    tls: RedisTLSSpec | None = Field(
        default=None, description="Connect with TLS, and trust these authorities only. Without it, without TLS."
    )
    password_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key that holds the password; a new value counts without a restart."
    )
