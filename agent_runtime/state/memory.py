"""State in the pod's memory, which ends with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import UnavailableError, WorkflowError, busy
from agent_runtime.plain import weight
from agent_runtime.state.memory_events import MemoryEvents
from agent_runtime.state.memory_hooks import MemoryHooks
from agent_runtime.state.memory_interrupts import MemoryInterrupts
from agent_runtime.state.memory_saver import MemorySaver
from agent_runtime.state.records import (
    Backlog,
    CancelAction,
    Ending,
    Glimpse,
    Lease,
    Run,
    RunQuery,
    RunStatus,
    Thread,
    ThreadQuery,
    now,
    shown,
    thread_status,
)
from agent_runtime.state.room import DEFAULT, Room, Shares

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

_OVERHEAD = 1024
"""Bytes that a thread or a run takes besides what clients gave it, about."""


@dataclass
class _Kept:
    """A thread with its runs, oldest first."""

    thread: Thread
    size: int
    """Bytes, about, without the checkpoints."""
    runs: dict[str, Run] = field(default_factory=dict)

    @property
    def active(self) -> Run | None:
        return next((run for run in self.runs.values() if run.active and not (run.due and run.due > now())), None)


@dataclass(frozen=True)
class _Renewer:
    leases: dict[str, Lease]

    def renew(self, held: Sequence[Lease]) -> list[Lease]:
        return [lease for lease in held if self.leases.get(lease.thread_id) == lease]

    def wake(self) -> None:
        return

    def rest(self) -> None:
        return


class MemoryStore(MemoryHooks, MemoryEvents, MemoryInterrupts):
    """Keeps threads and runs in dictionaries, as many as there is room for. No method waits, so each is atomic.

    Where `histories` may be forgotten, a thread in use loses its older checkpoints and runs before there is no room.
    """

    durable = False

    def __init__(self, room: Room = DEFAULT, *, histories: bool = True) -> None:
        super().__init__()
        self._room = room
        self._histories = histories
        self._saver = MemorySaver(self._on_growth)
        self._kept: dict[str, _Kept] = {}
        """The one that was not used for longest first."""
        self._records = 0
        """Bytes of all threads and runs."""
        self._leases: dict[str, Lease] = {}
        self._epoch = 0
        """One for all threads, so that it outlives each."""

    async def prepare(self) -> MemorySaver:
        return self._saver

    async def ping(self) -> None:
        return

    async def close(self) -> None:
        return

    async def add_thread(self, thread: Thread) -> bool:
        if thread.thread_id in self._kept:
            return False
        size = _size(thread.metadata)
        self._make_room(thread.owner, size, threads=1)
        kept = self._kept[thread.thread_id] = _Kept(thread, 0)
        self._grow(kept, size)
        return True

    async def thread(self, thread_id: str) -> Thread | None:
        kept = self._kept.get(thread_id)
        return kept.thread if kept else None

    async def threads(self, query: ThreadQuery) -> list[Thread]:
        found = self._fitting_threads(query)
        found.sort(key=lambda thread: (getattr(thread, query.sort_by), thread.thread_id), reverse=query.descending)
        return found[query.offset : query.offset + query.limit]

    async def count_threads(self, query: ThreadQuery) -> int:
        return len(self._fitting_threads(query))

    def _fitting_threads(self, query: ThreadQuery) -> list[Thread]:
        return [
            kept.thread
            for kept in self._kept.values()
            if (not query.ids or kept.thread.thread_id in query.ids)
            and query.status in {None, kept.thread.status}
            and query.owner in {None, kept.thread.owner}
            and query.metadata.items() <= kept.thread.metadata.items()
        ]

    async def update_thread(self, thread_id: str, metadata: dict[str, Any]) -> Thread | None:
        if (kept := self._kept.get(thread_id)) is None:
            return None
        size = _size(metadata) if metadata else 0
        self._make_room(kept.thread.owner, size, besides=thread_id)
        self._grow(kept, size)
        self._use(kept, metadata={**kept.thread.metadata, **metadata})
        return kept.thread

    async def settle_thread(self, thread_id: str, status: RunStatus) -> None:
        if (kept := self._kept.get(thread_id)) is not None:
            self._use(kept, status=thread_status(status))

    async def delete_threads(self, thread_ids: Sequence[str]) -> None:
        for thread_id in thread_ids:
            await self.delete_thread(thread_id)

    async def delete_thread(self, thread_id: str) -> None:
        self._forget(thread_id)

    async def idle_since(self, moment: datetime, limit: int) -> list[str]:
        threads = (kept.thread for kept in self._kept.values())
        return [t.thread_id for t in threads if t.updated_at < moment and t.status != "busy"][:limit]

    async def add_run(self, run: Run, *, alone: bool = False, lone: bool = False) -> bool:  # noqa: ARG002
        kept = self._kept.get(run.thread_id)
        if kept is None or run.run_id in kept.runs:
            return False
        if alone and kept.active:
            raise busy(shown(run.thread_id))
        size = _size_of_run(run)
        self._make_room(kept.thread.owner, size, besides=run.thread_id)
        kept.runs[run.run_id] = run
        self._grow(kept, size)
        self._use(kept, status=thread_status(run.status))
        return True

    async def run(self, thread_id: str, run_id: str) -> Run | None:
        kept = self._kept.get(thread_id)
        return kept.runs.get(run_id) if kept else None

    async def runs(self, thread_id: str, status: RunStatus | None, limit: int, offset: int) -> list[Run]:
        kept = self._kept.get(thread_id)
        found = [run for run in kept.runs.values() if status in {None, run.status}] if kept else []
        return found[::-1][offset : offset + limit]

    async def find_runs(self, query: RunQuery) -> list[Run]:
        found = sorted(self._fitting(query), key=lambda run: run.updated_at, reverse=True)
        return found[query.offset : query.offset + query.limit]

    async def count_runs(self, query: RunQuery) -> int:
        return len(self._fitting(query))

    async def update_run(self, run: Run, metadata: dict[str, Any]) -> Run | None:
        if (current := await self.run(run.thread_id, run.run_id)) is None:
            return None
        changed = replace(current, metadata=_merged(current.metadata, metadata))
        kept = self._kept[run.thread_id]
        kept.runs[run.run_id] = changed
        self._grow(kept, _size_of_run(changed) - _size_of_run(current))
        return changed

    async def waiting_threads(self, limit: int, besides: Collection[str]) -> list[str]:
        waiting = [run for name, kept in self._kept.items() if name not in besides and (run := kept.active)]
        return [run.thread_id for run in sorted(waiting, key=lambda run: run.created_at)][:limit]

    async def first_active(self, thread_id: str) -> Run | None:
        kept = self._kept.get(thread_id)
        return kept.active if kept else None

    async def queued(self) -> dict[str, int]:
        return Counter(run.owner for kept in self._kept.values() for run in kept.runs.values() if run.active)

    async def backlog(self) -> Backlog:
        unended = [run for kept in self._kept.values() for run in kept.runs.values() if run.active]
        due = [max(run.created_at, run.due or run.created_at) for run in unended if run.status == "pending"]
        waiting = [moment for moment in due if moment <= now()]
        return Backlog(len(unended), len(waiting), min(waiting, default=None))

    async def start_run(self, run: Run, epoch: int) -> Run | None:
        current = await self.run(run.thread_id, run.run_id)
        if current is None or not current.active or current.epoch >= epoch:
            return None
        started = replace(current, status="running", attempt=current.attempt + 1, epoch=epoch, updated_at=now())
        self._kept[run.thread_id].runs[run.run_id] = started
        return started

    async def end_run(
        self,
        run: Run,
        status: RunStatus,
        error: dict[str, str] | None,
        checkpoint: str | None = None,
        *,
        asked: bool | None = None,
        lone: bool = False,  # noqa: ARG002 - costs nothing here
    ) -> Ending | None:
        current = await self.run(run.thread_id, run.run_id)
        if current is None or current.epoch != run.epoch or not current.active:
            return None
        kept = self._kept[run.thread_id]
        returned = current.returned + (status == "pending")
        ended = replace(current, status=status, error=error, checkpoint=checkpoint, returned=returned, updated_at=now())
        kept.runs[run.run_id] = ended
        return await self.note_end(ended, asked=asked)

    async def note_end(self, ended: Run, *, asked: bool | None = None) -> Ending:  # noqa: ARG002 - counted
        if (kept := self._kept.get(ended.thread_id)) is None:
            return Ending(followed_by=False)
        follower = kept.active
        self._use(kept, status=thread_status(follower.status if follower else ended.status))
        return Ending(follower is not None, self._asked(ended.thread_id))

    async def delete_run(self, run: Run) -> bool:
        current = await self.run(run.thread_id, run.run_id)
        if current is None or (current.status, current.epoch) != (run.status, run.epoch):
            return False
        kept = self._kept[run.thread_id]
        self._grow(kept, -_size_of_run(kept.runs.pop(run.run_id)))
        if run.active:
            newest = next(reversed(kept.runs.values()), None)
            self._use(kept, status=thread_status(newest.status if newest else "success"))
        return True

    async def request_cancel(self, run: Run, action: CancelAction) -> Run | None:
        current = await self.run(run.thread_id, run.run_id)
        if current is None or not current.active:
            return None
        asked = self._kept[run.thread_id].runs[run.run_id] = replace(current, cancel=action)
        return asked

    async def look(self, run_ids: Collection[str]) -> list[Glimpse]:
        found = (run for kept in self._kept.values() for run_id in run_ids if (run := kept.runs.get(run_id)))
        return [Glimpse(run.run_id, run.status, run.cancel, run.followed) for run in found]

    async def active_runs(self, thread_id: str) -> list[Run]:
        kept = self._kept.get(thread_id)
        return [run for run in kept.runs.values() if run.active] if kept else []

    async def active_runs_of(self, owner: str, statuses: Collection[RunStatus], limit: int) -> list[Run]:
        all_runs = (run for kept in self._kept.values() for run in kept.runs.values())
        mine = [run for run in all_runs if run.owner == owner and run.active and run.status in statuses]
        return sorted(mine, key=lambda run: run.created_at)[:limit]

    async def claim(self, thread_id: str, *, new: bool = False) -> Lease | None:  # noqa: ARG002 - found at once
        if thread_id in self._leases:
            return None
        self._epoch += 1
        lease = self._leases[thread_id] = replace(Lease.new(thread_id), epoch=self._epoch)
        return lease

    async def leases(self) -> list[Lease]:
        return list(self._leases.values())

    def renewer(self) -> _Renewer:
        return _Renewer(self._leases)

    async def release(self, lease: Lease, *, gone: bool = False) -> bool:  # noqa: ARG002 - nothing stays
        held = self._leases.get(lease.thread_id)
        if held is None or held.token != lease.token:
            return False
        del self._leases[lease.thread_id]
        return True

    async def free(self, lease: Lease) -> None:
        await self.release(lease)

    def _fitting(self, query: RunQuery) -> list[Run]:
        return [
            run
            for kept in self._kept.values()
            if query.thread_id in {None, kept.thread.thread_id}
            for run in kept.runs.values()
            if run.owner == query.owner
            and query.run_id in {None, run.run_id}
            and query.metadata.items() <= run.metadata.items()
        ]

    def _use(self, kept: _Kept, **changes: Any) -> None:
        kept.thread = replace(kept.thread, **changes, updated_at=now())
        self._kept[kept.thread.thread_id] = self._kept.pop(kept.thread.thread_id)

    def _grow(self, kept: _Kept, size: int) -> None:
        kept.size += size
        self._records += size

    def _forget(self, thread_id: str) -> None:
        if kept := self._kept.pop(thread_id, None):
            self._records -= kept.size
        self._saver.delete_thread(thread_id)
        self._forget_interrupts(thread_id)

    def _on_growth(self, thread_id: str) -> None:
        kept = self._kept.get(thread_id)
        try:
            self._make_room(kept.thread.owner if kept else None, 0)
        except UnavailableError as error:
            # Another try of the run would not find more room.
            raise WorkflowError(str(error)) from None

    def _make_room(self, owner: str | None, size: int, *, threads: int = 0, besides: str | None = None) -> None:
        """Raises UnavailableError where all that is kept is in use, or of those who hold less than `owner`."""
        if not self._full(size, threads):
            return
        shares = self._shares(owner, besides)
        if owner is not None:
            shares.add(owner, size, threads=threads)
        more = self._forgettable(shares)
        while self._full(size, threads):
            if next(more, None) is None:
                raise UnavailableError(
                    f"the pod has no room for more conversations: it keeps {self._room.threads} of together "
                    f"{self._room.size >> 20} MiB in memory, and all are in use, or of callers who have fewer; keep "
                    "them in MongoDB (`state`)"
                )

    def _shares(self, asking: str | None, besides: str | None) -> Shares:
        shares = Shares(self._room, asking)
        for name, kept in self._kept.items():
            idle = not any(run.active for run in kept.runs.values()) and name != besides and name not in self._leases
            size = kept.size + self._saver.size_of(name)
            shares.add(kept.thread.owner, size, idle=name if idle else None)
        return shares

    def _full(self, size: int, threads: int) -> bool:
        too_large = self._saver.size + self._records + size > self._room.size
        return too_large or len(self._kept) + threads > self._room.threads

    def _forgettable(self, shares: Shares) -> Iterator[str]:
        """Forgets something at each step: threads that nobody uses, then what others came from."""
        for name in shares.leaving():
            self._forget(name)
            yield name
        for name, kept in list(self._kept.items()) if self._histories else ():
            if not shares.yields(kept.thread.owner):
                continue
            for run in [run for run in kept.runs.values() if not run.active]:
                del kept.runs[run.run_id]
                self._grow(kept, -_size_of_run(run))
            self._saver.forget_history(name)
            yield name


def _merged(metadata: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**metadata, **changes}.items() if value is not None}


def _size_of_run(run: Run) -> int:
    return _size([run.request, run.metadata])


def _size(value: Any) -> int:
    return weight(value) + _OVERHEAD
