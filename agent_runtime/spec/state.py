from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import Duration
from agent_runtime.spec.secret import SecretKeyRef

DEFAULT_DATABASE = "apm"
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
    database: DatabaseName = Field(default=DEFAULT_DATABASE, description="Database for the agent's collections.")


class CheckpointsSpec(SpecModel):
    """How much of threads' past is kept."""

    keep: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description=(
            "Newest checkpoints to keep of each thread; older ones are removed now and then, so that at most about "
            "twice as many are there. Without it, all of them."
        ),
    )
    compress_above: int = Field(
        default=512,
        ge=0,
        le=1 << 30,
        description="Bytes above which what is written is compressed (zstd).",
    )


class EncryptionSpec(SpecModel):
    """Encryption of conversations, before they leave the pod."""

    key_secret_ref: SecretKeyRef = Field(
        description=(
            "Secret key that holds 32 random bytes in Base64, such as `openssl rand -base64 32` makes. Several lines "
            "are several keys: the first one encrypts, all decrypt."
        )
    )


class StateSpec(SpecModel):
    """Where conversations are kept, and for how long."""

    mongodb: MongoDBSpec = Field(description="MongoDB that holds the agent's threads, runs and checkpoints.")
    ttl: Duration | None = Field(
        default=None,
        description=(
            "A thread that was not written to for this long is removed, such as `720h`. Without it, kept for ever."
        ),
    )
    checkpoints: CheckpointsSpec = Field(
        default_factory=CheckpointsSpec, description="How much of threads' past is kept, and how."
    )
    encryption: EncryptionSpec | None = Field(
        default=None,
        description=(
            "Encrypt what conversations are made of, with AES-256-GCM: checkpoints, inputs and errors of runs, events "
            "of their streams, questions, webhooks and items of the store. Ids, times, owners and metadata are not."
        ),
    )
