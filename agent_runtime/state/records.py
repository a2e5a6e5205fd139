"""Threads and runs as they are kept. Their statuses are those of langgraph-sdk."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

THREAD_ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
"""Thread ids that clients may choose; they end up in headers, logs and idempotency keys."""

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


@dataclass(frozen=True)
class Thread:
    """A conversation."""

    thread_id: str
    metadata: dict[str, Any] = field(default_factory=dict)
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
    """Which threads to list."""

    metadata: dict[str, Any] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    status: ThreadStatus | None = None
    limit: int = 10
    offset: int = 0
    sort_by: Literal["thread_id", "status", "created_at", "updated_at"] = "created_at"
    descending: bool = True
