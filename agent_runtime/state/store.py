from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from langgraph.checkpoint.base import BaseCheckpointSaver

    from agent_runtime.state.records import Lease, Run, RunStatus, Thread, ThreadQuery


class Store(Protocol):
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

    async def update_thread(self, thread_id: str, metadata: dict[str, Any]) -> Thread | None:
        """Merges into the metadata, and notes the time; the thread afterwards."""

    async def delete_thread(self, thread_id: str) -> None:
        """Removes a thread with its runs and checkpoints."""

    async def idle_since(self, moment: datetime, limit: int) -> list[str]:
        """Threads not written to since then, and not busy."""

    async def add_run(self, run: Run, *, alone: bool = False) -> bool:
        """Whether the run is new and was added; its thread is busy from then on.

        Raises:
            ConflictError: It must be the thread's only active run (`alone`), and there is another one.
        """

    async def run(self, thread_id: str, run_id: str) -> Run | None:
        """The run, if there is one."""

    async def runs(self, thread_id: str, status: RunStatus | None, limit: int, offset: int) -> list[Run]:
        """The thread's runs, newest first."""

    async def waiting_threads(self, limit: int, besides: Collection[str]) -> list[str]:
        """Threads besides the given ones whose runs have not ended, those of the oldest runs first."""

    async def first_active(self, thread_id: str) -> Run | None:
        """The thread's oldest run that has not ended."""

    async def start_run(self, run: Run, token: str) -> Run | None:
        """Marks a run as executed under a lease; None if it has ended meanwhile."""

    async def end_run(
        self, run: Run, status: RunStatus, error: dict[str, str] | None, checkpoint: str | None = None
    ) -> bool:
        """Ends a run, or with `pending` hands it back; refused (False) unless `run.lease` is still the run's."""

    async def delete_run(self, run: Run) -> None:
        """Removes a run that has ended."""

    async def claim(self, lease: Lease) -> bool:
        """Whether the thread was free and is now held."""

    async def leases(self) -> list[Lease]:
        """Who holds which of the agent's threads."""

    async def renew(self, held: Sequence[Lease]) -> list[Lease]:
        """Raises the beat of leases; returns those still held, as they are now."""

    async def release(self, lease: Lease) -> bool:
        """Whether the lease was there and is now gone."""
