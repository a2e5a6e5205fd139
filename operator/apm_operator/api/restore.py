"""The custom resource Restore."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import ObjectName
from agent_runtime.spec.state import DatabaseName
from apm_operator.api.backup import Location
from apm_operator.api.backupjob import JobNetwork, JobProgress, JobTemplate, MongoDBServer
from apm_operator.api.backuppolicy import Namespace
from apm_operator.api.status import Condition, StatusModel, Timestamp

Phase = Literal[
    "Pending", "Pausing", "Waiting", "Verifying", "Restoring", "Comparing", "Swapping", "Completed", "Failed"
]
StoredName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]


class BackupRef(SpecModel):
    """A Backup."""

    name: ObjectName = Field(description="Name of the Backup, in the same namespace.")


class StoredBackup(Location):
    """A backup by where it lies; no other resource needs to be left of it."""

    name: StoredName | None = Field(
        default=None, description="Its name in the storage; by default the newest that is verified."
    )


class RestoreSource(SpecModel):
    """What is restored."""

    backup_ref: BackupRef | None = Field(default=None, description="A Backup of this namespace.")
    location: StoredBackup | None = Field(default=None, description="A place in a storage.")


class DatabaseRename(SpecModel):
    """A database that gets another name."""

    from_: DatabaseName = Field(alias="from", description="Name in the backup.")
    to: DatabaseName = Field(description="Name in the target.")


class RestoreTarget(SpecModel):
    """Where it is restored to."""

    mongodb: MongoDBServer | None = Field(
        default=None, description="The MongoDB; by default that of the Backup's policy."
    )
    databases: tuple[DatabaseRename, ...] = Field(
        default=(), max_length=64, description="Databases that get another name; the others keep theirs."
    )


class RestoreSpec(SpecModel):
    """A backup that is put back."""

    from_: RestoreSource = Field(alias="from", description="What is restored.")
    target: RestoreTarget = Field(default_factory=RestoreTarget, description="Where it is restored to.")
    namespaces: tuple[Namespace, ...] = Field(
        default=(), max_length=64, description="Only these collections: `database.collection`, with `*` for any text."
    )
    excluded: tuple[Namespace, ...] = Field(default=(), max_length=64, description="Collections that are left out.")
    mode: Literal["Empty", "Replace"] = Field(
        default="Empty",
        description=(
            "`Empty`: a target with data is refused. `Replace`: what is there gives way, once the backup's data lie "
            "beside it, whole."
        ),
    )
    pause_agents: bool = Field(
        default=False, description="Let the agents of this namespace that use the database rest meanwhile."
    )
    job: JobTemplate = Field(
        default_factory=JobTemplate, description="How the Job's pods run; by default as the Backup's policy says."
    )
    network: JobNetwork = Field(
        default_factory=JobNetwork,
        description="Whom the Job's pods may talk to as well; by default as the Backup's policy says.",
    )


class RestoreStatus(StatusModel):
    """How a restore is."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="`metadata.generation` of the spec that this status speaks of."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=16, description="State by aspect: `Ready`; others only while true."
    )
    phase: Phase | None = Field(default=None, description="How far it is.")
    progress: JobProgress | None = Field(default=None, description="How far the Job is, while it runs.")
    backup: str | None = Field(default=None, max_length=253, description="Name, in the storage, of what is restored.")
    started: Timestamp | None = Field(default=None, description="When its Job was made.")
    finished: Timestamp | None = Field(default=None, description="When it ended.")
    documents: int | None = Field(default=None, ge=0, description="Documents that were restored.")
    size: int | None = Field(default=None, ge=0, description="Bytes of them.")
    collections: int | None = Field(default=None, ge=0, description="Collections that were restored.")
    indexes: int | None = Field(default=None, ge=0, description="Indexes that were built.")
    paused_agents: tuple[ObjectName, ...] = Field(default=(), max_length=256, description="Agents that rest meanwhile.")
