"""Threads and runs as they are kept. Their statuses are those of langgraph-sdk."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Self
from uuid import uuid4

THREAD_ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
"""Thread ids that clients may choose; they end up in headers, logs and idempotency keys."""

ANONYMOUS = "anonymous"
"""Owner of what nobody in particular made."""

OWN_PREFIX = "apm_"
"""Begins the names in metadata that clients can't write."""
TASK = OWN_PREFIX + "task"
"""Marks a run of an A2A task in its metadata: "" for the run that began it, the task's id for those that went on."""
PUSH = OWN_PREFIX + "push"
"""Begins the names under which a run's metadata keeps where its task is told of, with secrets of its client."""
CANCELLED = OWN_PREFIX + "cancelled"
"""Marks a run in its metadata whose A2A task somebody asked to end."""
CALLER = OWN_PREFIX + "caller"
"""Tells in the metadata of threads and runs who made them."""

OWNER_END = "~"
"""Ends the part of a thread's key that stands for its owner; no thread id has it."""

RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
CancelAction = Literal["interrupt", "rollback"]
"""What becomes of a run that is cancelled: it ends as interrupted, or is removed with all that it wrote."""
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


@dataclass(frozen=True)
class Backlog:
    """Runs that have not ended; `waiting` of them nobody executes, the first one of these `since` it was added."""

    unended: int
    waiting: int
    since: datetime | None


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
    """How often it was begun."""
    returned: int = 0
    """How often it was handed back after that, by a pod that had to end or lost its state for a while."""
    epoch: int = 0
    """Of the thread when the run was last begun; who took the thread later ends the run, and nobody else."""
    cancel: CancelAction | None = None
    """What a client asked for; the pod that executes the run does it."""
    followed: bool = False
    """Whether somebody follows the run's events from another pod, or may do so."""
    due: datetime | None = None
    """When it may begin, where that is later than it was made."""
    error: dict[str, str] | None = None
    checkpoint: str | None = None
    """The checkpoint that the run ended with, where it ended with one."""
    unreadable: str = ""
    """Why what was asked for can't be read, where it can't; `request` is empty then, and only lists have the run."""
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)

    @property
    def active(self) -> bool:
        """Whether the run has not ended."""
        return self.status in ACTIVE


@dataclass(frozen=True)
class Glimpse:
    """What other pods may want to know of a run, or of the pod that executes it."""

    run_id: str
    status: RunStatus
    cancel: CancelAction | None = None
    followed: bool = False

    @property
    def active(self) -> bool:
        """Whether the run has not ended."""
        return self.status in ACTIVE


@dataclass(frozen=True)
class Ending:
    """What the end of a run left behind."""

    followed_by: bool
    """Whether the thread has another run that may begin."""
    was_asked: bool = False
    """Whether the thread had open interrupts before."""
    noted: bool = True
    """Whether the thread says so."""


@dataclass(frozen=True)
class Event:
    """One server-sent event of a run; numbers grow within the run, over all its attempts."""

    number: int
    name: str
    data: bytes


@dataclass(frozen=True)
class Hook:
    """What is to be sent to `url` when a run has ended."""

    hook_id: str
    run_id: str
    thread_id: str
    epoch: int
    """Under which the run ended; if it is begun anew after all, this hook is void."""
    url: str
    body: dict[str, Any]
    due: datetime
    """When a pod may send it, or send it once more."""
    attempt: int = 0


@dataclass(frozen=True)
class Lease:
    """The right to run a thread. `epoch` is larger than that of all who held it before."""

    thread_id: str
    token: str
    epoch: int = 0
    beat: int = 0
    """Grows as long as the holder lives."""

    @classmethod
    def new(cls, thread_id: str) -> Self:
        """One of nobody else's."""
        return cls(thread_id, uuid4().hex)


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


@dataclass(frozen=True)
class RunQuery:
    """Which runs of a caller to list, over all threads, the last changed first."""

    owner: str
    metadata: dict[str, Any] = field(default_factory=dict)
    run_id: str | None = None
    thread_id: str | None = None
    limit: int = 10
    offset: int = 0
