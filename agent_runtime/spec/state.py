from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import Duration
from agent_runtime.spec.secret import SecretKeyRef

DatabaseName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,63}$", max_length=63)]


class MongoDBTLSSpec(SpecModel):
    """TLS between the agent and MongoDB."""

    ca_secret_ref: SecretKeyRef = Field(
        description="Secret key with the certificates, as PEM, of the authorities that MongoDB's certificate may be of."
    )
    client_certificate_secret_ref: SecretKeyRef | None = Field(
        default=None,
        description=(
            "Secret key with the agent's own certificate and its private key, both as PEM in one text, where MongoDB "
            "asks for it; cert-manager writes it as `tls-combined.pem`."
        ),
    )


class MongoDBSpec(SpecModel):
    """The MongoDB that holds an agent's threads, runs and checkpoints."""

    uri_secret_ref: SecretKeyRef = Field(
        description=("Secret key that holds the connection string, such as `mongodb://user:password@host:27017/`.")
    )
    tls: MongoDBTLSSpec | None = Field(
        default=None,
        description="Connect with TLS, and trust these authorities only. Without it, as the connection string says.",
    )
    database: DatabaseName = Field(default="apm", description="Database for the agent's collections.")


class StateSpec(SpecModel):
    """Where conversations are kept, and for how long."""

    mongodb: MongoDBSpec = Field(description="MongoDB that holds the agent's threads, runs and checkpoints.")
    ttl: Duration | None = Field(
        default=None,
        description=(
            "A thread that was not written to for this long is removed, such as `720h`. Without it, kept for ever."
        ),
    )
