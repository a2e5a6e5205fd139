"""State in the pod's memory, which ends with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.memory import InMemorySaver

from agent_runtime.errors import busy
from agent_runtime.state.records import Lease, Run, RunStatus, Thread, ThreadQuery, now, thread_status

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime


class MemoryStore:
    """Keeps threads and runs in dictionaries. No method waits, so each is atomic."""

    durable = False

    def __init__(self) -> None:
        self._saver = InMemorySaver()
        self._threads: dict[str, Thread] = {}
        self._runs: dict[str, Run] = {}
        self._leases: dict[str, Lease] = {}

    async def prepare(self) -> InMemorySaver:
        return self._saver

    async def ping(self) -> None:
        return

    async def close(self) -> None:
        return

    async def add_thread(self, thread: Thread) -> bool:
        if thread.thread_id in self._threads:
            return False
        self._threads[thread.thread_id] = thread
        return True

    async def thread(self, thread_id: str) -> Thread | None:
        return self._threads.get(thread_id)

    async def threads(self, query: ThreadQuery) -> list[Thread]:
        found = [
            thread
            for thread in self._threads.values()
            if (not query.ids or thread.thread_id in query.ids)
            and query.status in {None, thread.status}
            and query.metadata.items() <= thread.metadata.items()
        ]
        found.sort(key=lambda thread: getattr(thread, query.sort_by), reverse=query.descending)
        return found[query.offset : query.offset + query.limit]

    async def update_thread(self, thread_id: str, metadata: dict[str, Any]) -> Thread | None:
        if old := self._threads.get(thread_id):
            self._threads[thread_id] = replace(old, metadata={**old.metadata, **metadata}, updated_at=now())
        return self._threads.get(thread_id)

    async def delete_thread(self, thread_id: str) -> None:
        self._threads.pop(thread_id, None)
        for run in [run for run in self._runs.values() if run.thread_id == thread_id]:
            del self._runs[run.run_id]
        await self._saver.adelete_thread(thread_id)

    async def idle_since(self, moment: datetime, limit: int) -> list[str]:
        old = [t.thread_id for t in self._threads.values() if t.updated_at < moment and t.status != "busy"]
        return old[:limit]

    async def add_run(self, run: Run, *, alone: bool = False) -> bool:
        if run.run_id in self._runs:
            return False
        if alone and await self.first_active(run.thread_id):
            raise busy(run.thread_id)
        self._runs[run.run_id] = run
        self._set_thread(run.thread_id, run.status)
        return True

    async def run(self, thread_id: str, run_id: str) -> Run | None:
        run = self._runs.get(run_id)
        return run if run and run.thread_id == thread_id else None

    async def runs(self, thread_id: str, status: RunStatus | None, limit: int, offset: int) -> list[Run]:
        found = [r for r in self._runs.values() if r.thread_id == thread_id and status in {None, r.status}]
        return found[::-1][offset : offset + limit]

    async def waiting_threads(self, limit: int, besides: Collection[str]) -> list[str]:
        waiting = {run.thread_id: None for run in self._runs.values() if run.active and run.thread_id not in besides}
        return list(waiting)[:limit]

    async def first_active(self, thread_id: str) -> Run | None:
        return next((run for run in self._runs.values() if run.thread_id == thread_id and run.active), None)

    async def start_run(self, run: Run, token: str) -> Run | None:
        current = self._runs.get(run.run_id)
        if current is None or not current.active:
            return None
        started = replace(current, status="running", attempt=current.attempt + 1, lease=token, updated_at=now())
        self._runs[run.run_id] = started
        return started

    async def end_run(
        self, run: Run, status: RunStatus, error: dict[str, str] | None, checkpoint: str | None = None
    ) -> bool:
        current = self._runs.get(run.run_id)
        if current is None or current.lease != run.lease or not current.active:
            return False
        self._runs[run.run_id] = replace(current, status=status, error=error, checkpoint=checkpoint, updated_at=now())
        follower = await self.first_active(run.thread_id)
        self._set_thread(run.thread_id, follower.status if follower else status)
        return True

    async def delete_run(self, run: Run) -> None:
        self._runs.pop(run.run_id, None)

    async def claim(self, lease: Lease) -> bool:
        if lease.thread_id in self._leases:
            return False
        self._leases[lease.thread_id] = lease
        return True

    async def leases(self) -> list[Lease]:
        return list(self._leases.values())

    async def renew(self, held: Sequence[Lease]) -> list[Lease]:
        return [lease for lease in held if self._leases.get(lease.thread_id) == lease]

    async def release(self, lease: Lease) -> bool:
        held = self._leases.get(lease.thread_id)
        if held is None or held.token != lease.token:
            return False
        del self._leases[lease.thread_id]
        return True

    def _set_thread(self, thread_id: str, status: RunStatus) -> None:
        if thread := self._threads.get(thread_id):
            self._threads[thread_id] = replace(thread, status=thread_status(status), updated_at=now())
