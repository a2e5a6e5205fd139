"""What the operator tells a Job: JSON in the environment variable `APM_JOB`, paths instead of secrets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from apm_operator.backup.base import Model


class Mongo(Model):
    """A MongoDB server.

    Attributes:
        uri_file: file that holds the connection string.
        ca_file: PEM of the authorities that its certificate may be of; with it the connection is always TLS.
        client_certificate_file: PEM of the Job's own certificate and key.
    """

    uri_file: str
    ca_file: str | None = None
    client_certificate_file: str | None = None


class FolderStorage(Model):
    """A folder of a mounted volume."""

    kind: Literal["folder"] = "folder"
    path: str


class S3Encryption(Model):
    """Encryption by the S3 server: SSE-S3, SSE-KMS, or SSE-C with the key (32 bytes, base64) in `key_file`."""

    mode: Literal["AES256", "aws:kms", "customer"]
    kms_key_id: str | None = None
    key_file: str | None = None


class S3Storage(Model):
    """A bucket of an S3-compatible server, and the beginning of the keys in it."""

    kind: Literal["s3"] = "s3"
    endpoint: str | None = None
    region: str = "us-east-1"
    bucket: str
    prefix: str = ""
    access_key_id_file: str | None = None
    secret_access_key_file: str | None = None
    ca_file: str | None = None
    path_style: bool = True
    encryption: S3Encryption | None = None


Storage = Annotated[FolderStorage | S3Storage, Field(discriminator="kind")]


class Age(Model):
    """Encryption by age (https://age-encryption.org/v1) before anything leaves the Job.

    Attributes:
        recipients: public keys; what is written is encrypted for all of them.
        identity_file: file of private keys, one a line. Without it nothing encrypted can be verified or restored.
    """

    recipients: tuple[str, ...] = ()
    identity_file: str | None = None


class Lease(Model):
    """A Lease of Kubernetes that has to be held during the work: `name` in the Job's own namespace."""

    name: str


class Scope(Model):
    """What is taken; everything but MongoDB's own databases where nothing is named.

    Attributes:
        databases: names.
        namespaces: `database.collection`, where `*` stands for any characters; within `databases` where both are given.
        excluded: likewise, what is left out.
    """

    databases: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


class RestoreTest(Model):
    """A restore into scratch databases that are dropped again.

    Attributes:
        target: the server for it; None: the source's.
        scratch: beginning of the scratch databases' names, of this policy alone: whatever is called so may be dropped.
        sample: number of documents that are compared byte by byte.
    """

    target: Mongo | None = None
    scratch: str
    sample: int = 1000


class Retention(Model):
    """`minimum` verified backups stay whatever their age."""

    days: int
    minimum: int = 1


class Job(Model):
    """What all commands are told."""

    namespace: str
    policy: str
    """Name of the BackupPolicy, or of the Restore where there is none."""
    storage: Storage
    age: Age | None = None
    leases: tuple[Lease, ...] = ()
    wait: float = 3600.0
    """Seconds to wait for the Leases."""
    deadline: float = 43_200.0
    """Seconds for all of it."""


class BackupJob(Job):
    """Dump, verify, write the manifest, test a restore, prune. The backup's name comes from `APM_BACKUP_NAME`.

    Attributes:
        tested: whether only what was restored for a test counts as verified, also where another Job makes the tests.
    """

    command: Literal["backup"] = "backup"
    source: Mongo
    scope: Scope = Scope()
    oplog: bool = False
    read_preference: str = "secondaryPreferred"
    restore_test: RestoreTest | None = None
    tested: bool = False
    retention: Retention | None = None


class VerifyJob(Job):
    """Verify stored backups once more: the newest one, or `names`; with a restore test where that is given."""

    command: Literal["verify"] = "verify"
    names: tuple[str, ...] = ()
    restore_test: RestoreTest | None = None


class Rename(Model):
    """A database of the backup, and what it is to be called in the target."""

    source: str
    target: str


class RestoreJob(Job):
    """Verify a backup and restore it.

    Attributes:
        id: unlike that of any other Restore; the same for all pods of this one.
        name: of the backup; None: the newest verified one.
        replace: whether what is there gives way; without it a target with data is refused.
    """

    command: Literal["restore"] = "restore"
    id: str
    name: str | None = None
    target: Mongo
    scope: Scope = Scope()
    renames: tuple[Rename, ...] = ()
    replace: bool = False


class PruneJob(Job):
    """Remove what the retention no longer keeps, or say what would go.

    Attributes:
        tested: whether only what was restored for a test counts as verified.
    """

    command: Literal["prune"] = "prune"
    retention: Retention
    tested: bool = False
    dry_run: bool = False


class RemoveJob(Job):
    """Remove backups by name, or all but those that are `kept` (`names` empty), as `deletionPolicy: Delete` asks."""

    command: Literal["remove"] = "remove"
    names: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


AnyJob = Annotated[BackupJob | VerifyJob | RestoreJob | PruneJob | RemoveJob, Field(discriminator="command")]
