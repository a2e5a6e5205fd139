"""Threads and runs as they are kept. Their statuses are those of langgraph-sdk."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

THREAD_ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
"""Thread ids that clients may choose; they end up in headers, logs and idempotency keys."""

ANONYMOUS = "anonymous"
"""Owner of what nobody in particular made."""

OWN_PREFIX = "apm_"
"""Begins the names in metadata that clients can't write."""
CALLER = OWN_PREFIX + "caller"
"""Tells in the metadata of threads and runs who made them."""

OWNER_END = "~"
"""Ends the part of a thread's key that stands for its owner; no thread id has it."""

RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
ThreadStatus = Literal["idle", "busy", "interrupted", "error"]

ACTIVE: tuple[RunStatus, ...] = ("pending", "running")
_THREAD_STATUS: dict[RunStatus, ThreadStatus] = {
    "pending": "busy",
    "running": "busy",
    "error": "error",
    "success": "idle",
    "timeout": "error",
    "interrupted": "interrupted",
}


def now() -> datetime:
    """The time in UTC, as precise as MongoDB keeps it (milliseconds)."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def thread_status(run: RunStatus) -> ThreadStatus:
    """The status of a thread whose newest run has the given one."""
    return _THREAD_STATUS[run]


def shown(key: str) -> str:
    """The id that a thread's owner knows it by."""
    return key.partition(OWNER_END)[2] or key


@dataclass(frozen=True)
class Thread:
    """A conversation. `thread_id` is its key, see `Principal.key`."""

    thread_id: str
    metadata: dict[str, Any] = field(default_factory=dict)
    owner: str = ANONYMOUS
    status: ThreadStatus = "idle"
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


@dataclass(frozen=True)
class Run:
    """One pass of the graph over a thread. `request` is what the client asked for."""

    run_id: str
    thread_id: str
    request: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    owner: str = ANONYMOUS
    status: RunStatus = "pending"
    attempt: int = 0
    lease: str = ""
    """Token of the process that executes the run; only its holder may end the run."""
    error: dict[str, str] | None = None
    checkpoint: str | None = None
    """The checkpoint that the run ended with, where it ended with one."""
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    @property
    def active(self) -> bool:
        """Whether the run has not ended."""
        return self.status in ACTIVE


@dataclass(frozen=True)
class Lease:
    """The right to run a thread. `beat` grows as long as the holder lives."""

    thread_id: str
    token: str
    beat: int = 0


@dataclass(frozen=True)
class ThreadQuery:
    """Which threads to list; without `owner`, those of all callers."""

    metadata: dict[str, Any] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    status: ThreadStatus | None = None
    owner: str | None = None
    limit: int = 10
    offset: int = 0
    sort_by: Literal["thread_id", "status", "created_at", "updated_at"] = "created_at"
    descending: bool = True
