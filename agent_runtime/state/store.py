from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from agent_runtime.state.interrupts import InterruptStore

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from langgraph.checkpoint.base import BaseCheckpointSaver

    from agent_runtime.state.records import (
        Backlog,
        CancelAction,
        Ending,
        Event,
        Glimpse,
        Hook,
        Lease,
        Run,
        RunQuery,
        RunStatus,
        Thread,
        ThreadQuery,
    )


class Renewer(Protocol):
    """Renews leases from a thread that has no event loop."""

    def renew(self, held: Sequence[Lease]) -> list[Lease]:
        """Raises the beat of leases; returns those still held.

        Raises:
            UnavailableError: The place of the state can't be reached.
        """

    def wake(self) -> None:
        """Begins to connect, so that the first renewal need not. Raises UnavailableError."""

    def rest(self) -> None:
        """Gives up the connection; the next renewal makes another one."""


class Store(InterruptStore, Protocol):
    """Keeps the threads and runs of one agent.

    Every method may raise UnavailableError when the place of the state can't be reached.
    """

    durable: bool
    """Whether what it keeps outlives the process."""

    async def prepare(self) -> BaseCheckpointSaver[Any]:
        """Connects, makes what has to be there, and returns the checkpointer."""

    async def ping(self) -> None:
        """Returns if the state can be reached."""

    async def close(self) -> None:
        """Gives up the connections."""

    async def add_thread(self, thread: Thread) -> bool:
        """Whether the thread is new and was added."""

    async def thread(self, thread_id: str) -> Thread | None:
        """The thread, if there is one."""

    async def threads(self, query: ThreadQuery) -> list[Thread]:
        """The threads that fit."""

    async def count_threads(self, query: ThreadQuery) -> int:
        """How many threads fit, whatever the query's limit."""

    async def update_thread(self, thread_id: str, metadata: dict[str, Any]) -> Thread | None:
        """Merges into the metadata, and notes the time; the thread afterwards."""

    async def delete_thread(self, thread_id: str) -> None:
        """Removes a thread with its runs, their events and its checkpoints."""

    async def delete_threads(self, thread_ids: Sequence[str]) -> None:
        """Removes threads likewise, together."""

    async def settle_thread(self, thread_id: str, status: RunStatus) -> None:
        """Has a thread say how its newest run ended, where a pod died before it did so."""

    async def idle_since(self, moment: datetime, limit: int) -> list[str]:
        """Threads not written to since then, and not busy."""

    async def add_run(self, run: Run, *, alone: bool = False, lone: bool = False) -> bool:
        """Whether the run is new and was added; its thread is busy from then on, or `lone`, made busy for it.

        Raises:
            ConflictError: It must be the thread's only active run (`alone`), and there is another one.
        """

    async def run(self, thread_id: str, run_id: str) -> Run | None:
        """The run, if there is one."""

    async def runs(self, thread_id: str, status: RunStatus | None, limit: int, offset: int) -> list[Run]:
        """The thread's runs, newest first."""

    async def find_runs(self, query: RunQuery) -> list[Run]:
        """The runs that fit, whose `metadata` has all of the query's."""

    async def count_runs(self, query: RunQuery) -> int:
        """How many runs fit; its `limit` and `offset` do not count."""

    async def update_run(self, run: Run, metadata: dict[str, Any]) -> Run | None:
        """Merges into the metadata, from which what is None goes; the run afterwards, if there is one."""

    async def waiting_threads(self, limit: int, besides: Collection[str]) -> list[str]:
        """Threads besides the given ones with runs that may begin or go on, those of the oldest runs first."""

    async def first_active(self, thread_id: str) -> Run | None:
        """The thread's oldest run that has not ended, and may begin."""

    async def follow(self, run: Run) -> None:
        """Has the pod that executes the run keep its events."""

    async def add_events(self, run: Run, events: Sequence[Event]) -> None:
        """Keeps some events of a run, in the order of their numbers, for some minutes."""

    async def events_after(self, run: Run, after: int) -> list[Event]:
        """Events of the run with a number above `after` that are kept, in order; more may come after them."""

    async def add_hook(self, hook: Hook) -> None:
        """Keeps a webhook; one that is kept already stays as it is."""

    async def due_hooks(self, moment: datetime, limit: int) -> list[Hook]:
        """Webhooks that are due, the earliest first."""

    async def take_hook(self, hook: Hook, until: datetime) -> Hook | None:
        """Has a webhook wait and counts that; None if another pod did so meanwhile, or it is gone."""

    async def remove_hook(self, hook: Hook) -> None:
        """Forgets a webhook."""

    async def queued(self) -> dict[str, int]:
        """How many runs of the agent have not ended, by owner."""

    async def backlog(self) -> Backlog:
        """How many runs of the agent have not ended, and since when those wait that may begin now."""

    async def start_run(self, run: Run, epoch: int) -> Run | None:
        """Marks a run as executed under an epoch of its thread; None if it ended or was begun under a newer one."""

    async def end_run(
        self,
        run: Run,
        status: RunStatus,
        error: dict[str, str] | None,
        checkpoint: str | None = None,
        *,
        asked: bool | None = None,
        lone: bool = False,
    ) -> Ending | None:
        """Ends a run, or with `pending` hands it back; refused (None) if it was begun anew since.

        `asked` says whether its thread has open interrupts then; None leaves that as it is. Of a `lone` run the thread
        most likely goes with it, and need not say how it ended: `note_end` does that, where the thread stays.
        """

    async def note_end(self, ended: Run, *, asked: bool | None = None) -> Ending:
        """Has the thread of a run say how that ended; `asked` as in `end_run`."""

    async def delete_run(self, run: Run) -> bool:
        """Removes a run, if it is as it is given: of the same status, and not begun anew since."""

    async def request_cancel(self, run: Run, action: CancelAction) -> Run | None:
        """Tells the pod that executes a run to cancel it; the run as it then is, or None if it has ended or is gone."""

    async def look(self, run_ids: Collection[str]) -> list[Glimpse]:
        """What there is of these runs."""

    async def active_runs(self, thread_id: str) -> list[Run]:
        """The thread's runs that have not ended, oldest first."""

    async def active_runs_of(self, owner: str, statuses: Collection[RunStatus], limit: int) -> list[Run]:
        """A caller's runs of these statuses, of all threads, oldest first."""

    async def claim(self, thread_id: str, *, new: bool = False) -> Lease | None:
        """Takes the thread under a new epoch; None if someone holds it. `new` says that nobody can have held it yet."""

    async def leases(self) -> list[Lease]:
        """Who holds which of the agent's threads."""

    def renewer(self) -> Renewer:
        """What renews leases, with a connection of its own. Raises UnavailableError."""

    async def release(self, lease: Lease, *, gone: bool = False) -> bool:
        """Whether the lease was held and is now free; the epoch stays, unless the thread is `gone`."""

    async def free(self, lease: Lease) -> None:
        """As `release`, where it doesn't matter whether the lease was held."""
