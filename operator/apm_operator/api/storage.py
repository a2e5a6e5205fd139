"""Where backups lie, and how they are encrypted."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.secret import SecretKeyRef, SecretRef
from apm_operator.api.quantity import Quantity

ClaimName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
Folder = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$", max_length=256)
]
"""Names with `/` between them: neither absolute nor upwards."""
Recipient = Annotated[str, StringConstraints(pattern=r"^age1[0-9a-z]+$", min_length=24, max_length=4096)]


class ClaimStorage(SpecModel):
    """A volume: of a claim that is there, or of one that the operator makes."""

    claim_name: ClaimName | None = Field(default=None, description="Claim that is there already.")
    size: Quantity | None = Field(
        default=None,
        description="Size, such as `20Gi`, of a claim that the operator makes once; it stays when this goes.",
    )
    storage_class_name: ClaimName | None = Field(
        default=None, description="Storage class of the claim that is made; by default the cluster's."
    )
    access_modes: tuple[Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"], ...] = Field(
        default=(), max_length=3, description="Access modes of the claim that is made; by default `ReadWriteOnce`."
    )
    path: Folder | None = Field(
        default=None, description="Folder of the volume; below it come the namespace and the policy's name."
    )


class ServerSideEncryption(SpecModel):
    """How the S3 server encrypts what it stores."""

    mode: Literal["AES256", "aws:kms", "customer"] = Field(
        description="`AES256`: keys of the server; `aws:kms`: of a key management service; `customer`: `keySecretRef`."
    )
    kms_key_id: str | None = Field(
        default=None, alias="kmsKeyID", max_length=2048, description="Key for `aws:kms`; by default the bucket's."
    )
    key_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key with the key for `customer`: 32 bytes as base64. Without it, all is lost."
    )


class S3Storage(SpecModel):
    """A bucket of an S3-compatible server."""

    endpoint: str | None = Field(
        default=None,
        max_length=512,
        pattern=r"^https?://[^/@\s?#]+/?$",
        description="Address of the server, such as `https://minio.storage.svc:9000`; by default that of AWS.",
    )
    region: str = Field(
        default="us-east-1", max_length=64, pattern=r"^[A-Za-z0-9-]+$", description="Region of the bucket."
    )
    bucket: str = Field(
        max_length=63, pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="Name of the bucket; it must exist."
    )
    prefix: Folder | None = Field(
        default=None, description="Beginning of the keys; after it come the namespace and the policy's name."
    )
    credentials_secret_ref: SecretRef = Field(
        description="Secret with the keys `access-key-id` and `secret-access-key`."
    )
    ca_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key with the authorities, as PEM, that the server's certificate may be of."
    )
    path_style: bool = Field(
        default=True, description="Put the bucket's name into the path of the address, not into its host."
    )
    server_side_encryption: ServerSideEncryption | None = Field(
        default=None, description="How the server encrypts; by default as the bucket says."
    )

    @field_validator("endpoint")
    @classmethod
    def _address(cls, endpoint: str | None) -> str | None:
        """The pattern lets ports pass that are none."""
        try:
            parts = urlsplit(endpoint or "https://host")
            if parts.hostname and parts.port != 0:
                return endpoint
        except ValueError:
            pass
        raise ValueError("it is no address of a server: write https://HOST or https://HOST:PORT")


class Storage(SpecModel):
    """Where backups lie: a volume or a bucket."""

    persistent_volume_claim: ClaimStorage | None = Field(default=None, description="A volume of the cluster.")
    s3: S3Storage | None = Field(default=None, description="A bucket of an S3-compatible server.")


class Encryption(SpecModel):
    """Encryption by age (age-encryption.org) before anything leaves the Job."""

    recipients: tuple[Recipient, ...] = Field(
        default=(), max_length=16, description="Public keys that can read the backups, such as `age1...`."
    )
    identity_secret_ref: SecretKeyRef | None = Field(
        default=None,
        description=(
            "Secret key with a private key, `AGE-SECRET-KEY-1...`, which Restores and `verification.schedule` need. "
            "Without it a backup is verified only while it is made, by a key of its Job's own. Keep a copy where the "
            "cluster's end does not reach."
        ),
    )
