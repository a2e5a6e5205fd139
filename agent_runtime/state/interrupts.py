"""What threads wait for, as it is kept beside their checkpoints: so that it can be found, counted and ended in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agent_runtime.state.records import ANONYMOUS, now

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

InterruptStatus = Literal["open", "answered", "expired", "closed"]
"""What became of it: `closed` where its thread went on without an answer."""

REMEMBERED = timedelta(days=7)
"""How long it is known of an interrupt how it ended."""


@dataclass(frozen=True)
class Interrupt:
    """An interrupt that a run ended with. Its thread alone decides whether it is open: this is kept to find it by."""

    thread_id: str
    interrupt_id: str
    kind: str
    """The `type` of its value."""
    value: dict[str, Any]
    owner: str = ANONYMOUS
    node: str = ""
    approvers: tuple[str, ...] = ()
    """Who may answer besides the owner, as `auth.approvers` reads it."""
    handle: str = ""
    """What those know it by, to whom nothing is told of the thread."""
    status: InterruptStatus = "open"
    due: datetime | None = None
    """When it ends if nobody answers; later where a pod sees to that already."""
    since: datetime = field(default_factory=now)
    ended: datetime | None = None
    unreadable: str = ""
    """Why its value can't be read, and is empty here, such as where it is encrypted with a key that is not there."""


@dataclass(frozen=True)
class InterruptQuery:
    """Which interrupts to list: those of an owner, and those that one of the `marks` may answer; the oldest first."""

    kind: str
    status: InterruptStatus = "open"
    owner: str | None = None
    marks: tuple[str, ...] = ()
    node: str | None = None
    thread_id: str | None = None
    limit: int = 10
    offset: int = 0

    def fits(self, one: Interrupt) -> bool:
        """Whether an interrupt is one of them."""
        seen = one.owner == self.owner or any(mark in self.marks for mark in one.approvers)
        of_it = (one.kind, one.status) == (self.kind, self.status) and self.node in {None, one.node}
        return seen and of_it and self.thread_id in {None, one.thread_id}


@dataclass(frozen=True)
class Pending:
    """How many interrupts of a kind are open, and since when the oldest is."""

    count: int
    since: datetime | None = None


class InterruptStore(Protocol):
    """Keeps the interrupts of one agent's threads. Every method may raise UnavailableError."""

    async def note_interrupts(self, found: Sequence[Interrupt]) -> None:
        """Keeps them as open; of one that is known, `since` stays."""

    async def end_interrupts(
        self, thread_id: str, status: InterruptStatus, *, ids: Collection[str] | None = None, but: Collection[str] = ()
    ) -> list[str]:
        """Ends the open ones of a thread, or those of them that `ids` names, `but` some; their kinds."""

    async def interrupt(self, thread_id: str, interrupt_id: str) -> Interrupt | None:
        """The interrupt, open or not, as long as it is kept."""

    async def interrupt_of(self, handle: str) -> Interrupt | None:
        """Likewise, by what approvers know it by."""

    async def interrupts(self, query: InterruptQuery) -> list[Interrupt]:
        """Those that fit."""

    async def approvers(self) -> list[str]:
        """Who may answer any of those that are kept, each once."""

    async def pending(self, kind: str) -> Pending:
        """How many are open."""

    async def expiring(self, limit: int) -> list[Interrupt]:
        """Open ones that end by themselves, the first due first."""

    async def claim_interrupt(self, interrupt: Interrupt, until: datetime) -> bool:
        """Makes it due later; whether it was open, and due as it is given."""

    async def asked_threads(self, after: str, limit: int) -> list[str]:
        """Threads with open interrupts whose keys come after the given one, in order."""

    async def unnoted_threads(self, limit: int) -> list[str]:
        """Interrupted threads of which it was never noted what they wait for."""

    async def set_asked(self, thread_id: str, *, asked: bool) -> None:
        """Notes whether the thread has open interrupts."""
