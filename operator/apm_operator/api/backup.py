"""The custom resource Backup."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent_runtime.spec.base import SpecModel
from apm_operator.api.backupjob import JobProgress, PolicyRef
from apm_operator.api.status import Condition, StatusModel, Timestamp
from apm_operator.api.storage import Encryption, Folder, Storage

Phase = Literal["Pending", "Waiting", "Running", "Verifying", "Testing", "Completed", "Failed"]


class BackupSpec(SpecModel):
    """One backup, made at once as a policy says."""

    policy_ref: PolicyRef = Field(description="The policy that says what is backed up, and where to.")
    deletion_policy: Literal["Retain", "Delete"] | None = Field(
        default=None,
        description="What becomes of the stored backup when this is deleted; by default as the policy says.",
    )


class Location(SpecModel):
    """Where a policy's backups lie."""

    storage: Storage = Field(description="The volume or bucket.")
    encryption: Encryption | None = Field(default=None, description="The key, where backups are encrypted.")
    path: Folder | None = Field(
        default=None, description="What comes after the storage's folder or prefix: `NAMESPACE/POLICY`."
    )


class BackupStatus(StatusModel):
    """How a backup is."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="`metadata.generation` of the spec that this status speaks of."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=16, description="State by aspect: `Ready`, `Verified`; others only while true."
    )
    phase: Phase | None = Field(default=None, description="How far it is.")
    name: str | None = Field(default=None, max_length=253, description="Its name in the storage.")
    started: Timestamp | None = Field(default=None, description="When it was begun.")
    finished: Timestamp | None = Field(default=None, description="When it was finished.")
    size: int | None = Field(default=None, ge=0, description="Bytes in the storage.")
    documents: int | None = Field(default=None, ge=0, description="Documents in it.")
    collections: int | None = Field(default=None, ge=0, description="Collections in it.")
    sha256: str | None = Field(default=None, max_length=64, description="SHA-256 of what is stored.")
    verified: Literal["True", "False", "Unknown"] | None = Field(
        default=None, description="Whether it is proven to restore."
    )
    verified_time: Timestamp | None = Field(default=None, description="When that was found.")
    expires: Timestamp | None = Field(default=None, description="When the retention may remove it.")
    progress: JobProgress | None = Field(default=None, description="How far the Job is, while it runs.")
    location: Location | None = Field(
        default=None, description="Where it lies, so that it can be restored when its policy is gone."
    )
