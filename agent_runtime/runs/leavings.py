"""Threads that go with their run: what becomes of one is written only where it stays."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_runtime.background import finish
from agent_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from agent_runtime.state.records import Lease, Run
    from agent_runtime.state.store import Store

_PATIENCE = 0.5
"""Seconds in which who waited for a run has its thread removed."""


class Leavings:
    """Threads of runs that ended, which most likely are removed in a moment.

    A pod that dies meanwhile leaves a thread as one that dies between the end of a run and that of its lease: its lease
    is seen not to be renewed, and the sweeper has the thread say how its run ended.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._left: dict[str, tuple[Run, Lease]] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def add(self, ended: Run, lease: Lease) -> None:
        """Has the thread of a run say how that ended, and frees it, unless it is removed before."""
        self._left[ended.thread_id] = (ended, lease)
        asyncio.get_running_loop().call_later(_PATIENCE, self._begin, ended.thread_id)

    def removed(self, thread_id: str) -> None:
        """Says that a thread is being removed."""
        self._left.pop(thread_id, None)

    async def close(self, seconds: float) -> None:
        """Writes what is left to write, but not for long."""
        for thread_id in list(self._left):
            self._begin(thread_id)
        await finish(list(self._writing), seconds)

    def _begin(self, thread_id: str) -> None:
        if left := self._left.pop(thread_id, None):
            task = asyncio.create_task(self._write(*left))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _write(self, ended: Run, lease: Lease) -> None:
        with suppress(UnavailableError):
            await self._store.note_end(ended)
            await self._store.free(lease)
