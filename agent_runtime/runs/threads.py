"""What clients can do with whole threads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from agent_runtime.errors import ConflictError, NotFoundError
from agent_runtime.runs.service import TEMPORARY
from agent_runtime.state.records import Thread, shown

if TYPE_CHECKING:
    from agent_runtime.auth.principal import Principal
    from agent_runtime.runs.interrupts import Interrupts
    from agent_runtime.runs.worker import Worker
    from agent_runtime.state.store import Store

Pruning = Literal["delete", "keep_latest"]


@dataclass(frozen=True)
class Threads:
    """Copies threads, and takes away what they need no more."""

    store: Store
    worker: Worker
    saver: Any
    """The checkpointer, with LangGraph's optional `acopy_thread` and `aprune`."""
    interrupts: Interrupts

    async def copy(self, thread_id: str, caller: Principal) -> Thread:
        """A new thread of the same caller that goes on from where this one is; runs are not copied.

        Raises:
            NotFoundError: There is no such thread.
            ConflictError: A run of it has not ended.
        """
        if (source := await self.store.thread(thread_id)) is None:
            raise NotFoundError(f"there is no thread {shown(thread_id)}")
        metadata = {name: value for name, value in source.metadata.items() if name != TEMPORARY}
        async with self.worker.hold(thread_id):
            target = Thread(caller.key(str(uuid4())), metadata, owner=source.owner, status=source.status)
            await self.saver.acopy_thread(thread_id, target.thread_id)
            await self.store.add_thread(target)
            await self.interrupts.refresh(target)
        return target

    async def prune(self, thread_ids: Sequence[str], strategy: Pruning) -> int:
        """Removes threads, or what they came from; how many. Threads that are busy, or not there, are left out."""
        pruned = 0
        for thread_id in dict.fromkeys(thread_ids):
            with suppress(ConflictError):
                pruned += await self._prune(thread_id, strategy)
        return pruned

    async def _prune(self, thread_id: str, strategy: Pruning) -> bool:
        if await self.store.thread(thread_id) is None:
            return False
        async with self.worker.hold(thread_id):
            if strategy == "keep_latest":
                await self.saver.aprune([thread_id], strategy=strategy)
            elif await self.store.active_runs(thread_id):  # such as one that waits for its time to begin
                return False
            else:
                await self.store.delete_thread(thread_id)
            return True
