"""The custom resource BackupPolicy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.schedule import CronText, TimeZone
from agent_runtime.spec.state import DatabaseName
from apm_operator.api.backupjob import JobNetwork, JobTemplate, MongoDBServer
from apm_operator.api.status import Condition, StatusModel, Timestamp
from apm_operator.api.storage import Encryption, Storage

Namespace = Annotated[str, StringConstraints(pattern=r"^[^.$\s]+\.[^$\s]+$", max_length=255)]
"""`database.collection`, where `*` stands for any characters."""
Uid = Annotated[str, StringConstraints(max_length=64)]


class BackupSource(SpecModel):
    """What is backed up."""

    mongodb: MongoDBServer = Field(description="The MongoDB.")
    databases: tuple[DatabaseName, ...] = Field(
        default=(), max_length=64, description="Databases; by default all but MongoDB's own."
    )
    namespaces: tuple[Namespace, ...] = Field(
        default=(), max_length=64, description="Only these collections: `database.collection`, with `*` for any text."
    )
    excluded: tuple[Namespace, ...] = Field(default=(), max_length=64, description="Collections that are left out.")
    oplog: bool = Field(
        default=False,
        description=(
            "Take in what is written meanwhile, so that all is of one moment. Needs a replica set; only mongorestore "
            "itself can apply it, not a Restore."
        ),
    )
    read_preference: Literal["primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest"] = Field(
        default="secondaryPreferred", description="Which members of a replica set are read."
    )


class Retention(SpecModel):
    """How long backups are kept."""

    days: int = Field(default=30, ge=1, le=36500, description="Older backups are removed.")
    minimum: int = Field(default=1, ge=1, le=10000, description="Verified backups that stay, however old.")


class Verification(SpecModel):
    """How backups are proven. What is stored is always read back to its end; this comes after it."""

    restore_test: bool = Field(
        default=True,
        description=(
            "Restore into scratch databases, compare, and drop them. That takes as much room there again. Without it, "
            "what was read back to its end is Verified."
        ),
    )
    schedule: CronText | None = Field(
        default=None, description="Test the newest backup at these times; by default each, right after it was made."
    )
    sample: int = Field(
        default=1000, ge=0, le=100_000, description="Documents that are compared byte by byte; all are counted."
    )
    mongodb: MongoDBServer | None = Field(
        default=None, description="Where the scratch databases are made; by default in the source."
    )


class BackupPolicySpec(SpecModel):
    """Which MongoDB is backed up, when, where to, for how long, and how that is proven."""

    schedule: CronText = Field(default="0 2 * * *", description="When: minute, hour, day, month, day of the week.")
    time_zone: TimeZone = Field(default="Etc/UTC", description="Time zone of the schedules, such as `Europe/Berlin`.")
    starting_deadline_seconds: int = Field(
        default=3600, ge=60, le=86_400, description="A run that could not start for this long is missed."
    )
    suspend: bool = Field(default=False, description="Start no new runs by the schedule until this is false again.")
    source: BackupSource = Field(description="What is backed up.")
    storage: Storage = Field(description="Where to.")
    encryption: Encryption | None = Field(default=None, description="Encryption before anything leaves the Job.")
    retention: Retention = Field(default=Retention(), description="How long backups are kept.")
    verification: Verification = Field(default=Verification(), description="How backups are proven.")
    deletion_policy: Literal["Retain", "Delete"] = Field(
        default="Retain",
        description="What becomes of the stored backups when this policy, or one of its Backups, is deleted.",
    )
    job: JobTemplate = Field(default_factory=JobTemplate, description="How the Jobs' pods run.")
    network: JobNetwork = Field(default_factory=JobNetwork, description="Whom the Jobs' pods may talk to as well.")


class Missed(StatusModel):
    """Runs that did not take place when they were due."""

    count: int = Field(default=0, ge=0, description="How many.")
    last: Timestamp | None = Field(default=None, description="When the last one was due.")


class Store(StatusModel):
    """What lies in the storage."""

    backups: int = Field(default=0, ge=0, description="Whole backups.")
    verified: int = Field(default=0, ge=0, description="Those of them that are verified.")
    size: int = Field(default=0, ge=0, description="Bytes.")
    oldest: Timestamp | None = Field(default=None, description="When the oldest of them was begun.")


class BackupPolicyStatus(StatusModel):
    """How the backups of a policy are."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="`metadata.generation` of the spec that this status speaks of."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=16, description="State by aspect: `Ready`, `Verified`; others only while true."
    )
    last_schedule_time: Timestamp | None = Field(default=None, description="When the last run was due.")
    next_schedule_time: Timestamp | None = Field(default=None, description="When the next run is due.")
    last_success_time: Timestamp | None = Field(default=None, description="When the last good backup was finished.")
    last_verified_time: Timestamp | None = Field(default=None, description="When one was last proven to restore.")
    last_backup: str | None = Field(default=None, max_length=253, description="Name of the last good Backup.")
    size: int | None = Field(default=None, ge=0, description="Bytes of it.")
    documents: int | None = Field(default=None, ge=0, description="Documents in it.")
    duration: float | None = Field(default=None, ge=0, description="Seconds that it took.")
    missed: Missed | None = Field(default=None, description="Runs that did not take place when they were due.")
    failures: dict[str, int] | None = Field(
        default=None, max_length=64, description="Backups that have failed so far, by reason."
    )
    counted_failures: tuple[Uid, ...] = Field(
        default=(), max_length=10_000, description="Uids of the failed Backups that are still there, all counted."
    )
    store: Store | None = Field(default=None, description="What lies in the storage.")
