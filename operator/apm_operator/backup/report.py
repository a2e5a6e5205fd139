"""What a Job tells the operator: JSON in its termination message, which holds 4,096 bytes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from apm_operator.backup.base import Model

LIMIT = 4096
"""https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/"""


class BackupFacts(Model):
    """A backup that lies in the storage, whole."""

    name: str
    started: datetime
    finished: datetime
    size: int
    archive_size: int
    documents: int
    collections: int
    sha256: str
    encrypted: bool


class TestFacts(Model):
    """A restore test, or a verification without one."""

    name: str
    at: datetime
    restored: bool
    good: bool
    documents: int = 0
    seconds: float = 0.0
    reason: str = ""
    message: str = ""


class RestoreFacts(Model):
    """What was restored."""

    name: str
    documents: int
    size: int
    collections: int
    indexes: int
    seconds: float


class StoreFacts(Model):
    """What lies in the storage after the run.

    Attributes:
        removed: names that were removed; the oldest ones only where there are too many to tell.
        oldest: when the oldest backup that is kept was begun.
    """

    backups: int
    verified: int
    size: int
    oldest: datetime | None = None
    newest: datetime | None = None
    newest_verified: datetime | None = None
    removed: tuple[str, ...] = ()


class Report(Model):
    """How a Job ended.

    Attributes:
        reason: CamelCase; of `errors` where it failed.
        message: what happened and what to do, without secrets.
    """

    result: Literal["Succeeded", "Failed"]
    reason: str
    message: str
    backup: BackupFacts | None = None
    tests: tuple[TestFacts, ...] = ()
    restore: RestoreFacts | None = None
    store: StoreFacts | None = None


class Progress(Model):
    """How far a running Job is; JSON in the annotation `apm.valeo-neuroerp.com/progress` of its first Lease.

    Attributes:
        holder: the pod.
        phase: `Waiting`, `Dumping`, `Verifying`, `Restoring`, `Comparing`, `Swapping`, `Testing`, `Pruning`.
        percent: of the phase; None where the whole is not known.
    """

    run: str
    holder: str
    phase: str
    documents: int = 0
    bytes: int = 0
    percent: int | None = None


Tell = Callable[[str, int, int, int | None], None]
"""Takes phase, documents, bytes and percent of `Progress`, often; raises what ends the work, such as LeaseLost."""
