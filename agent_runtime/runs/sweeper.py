"""Removal of threads that nobody uses any more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from agent_runtime.background import Background
from agent_runtime.errors import ConflictError, UnreadableError
from agent_runtime.loops import Loop
from agent_runtime.runs.service import TEMPORARY
from agent_runtime.state.records import ThreadQuery, now

if TYPE_CHECKING:
    from datetime import datetime

    from agent_runtime.runs.worker import Worker
    from agent_runtime.state.store import Store

log = structlog.get_logger()

_INTERVAL = 60.0
_AT_ONCE = 100
_LONGEST_LIFE = 36500 * 86400.0
"""Seconds; calendars end some thousand years later, and what a spec says may not."""
_TEMPORARY_LIFE = timedelta(minutes=10)
_SETTLED = timedelta(seconds=30)
"""How long the end of a run and the status of its thread may be apart."""
_UNSETTLED = 1000


class Sweeper(Background):
    """Removes threads past their time to live, and left-over threads of stateless runs."""

    def __init__(self, store: Store, worker: Worker, ttl: float | None) -> None:
        """`ttl` in seconds since a thread was last written to; None keeps threads for ever."""
        self._store = store
        self._worker = worker
        self._life = None if ttl is None else timedelta(seconds=min(ttl, _LONGEST_LIFE))

    async def sweep(self) -> None:
        """Removes once what is there to remove, up to some hundred threads.

        Raises:
            UnavailableError: The state can't be reached.
        """
        old: dict[str, datetime] = {}
        if self._life is not None:
            limit = now() - self._life
            old |= dict.fromkeys(await self._store.idle_since(limit, _AT_ONCE), limit)
        query = ThreadQuery(metadata={TEMPORARY: True}, limit=_AT_ONCE, sort_by="updated_at", descending=False)
        limit = now() - _TEMPORARY_LIFE
        stateless = await self._store.threads(query)
        old |= {thread.thread_id: limit for thread in stateless if thread.updated_at < limit}
        removed = [thread_id for thread_id, limit in old.items() if await self._remove(thread_id, limit)]
        if removed:
            log.info("removed old threads", count=len(removed))

    async def settle(self) -> None:
        """Has threads say how their runs ended whose pod died between the two; else they would be busy for ever.

        Raises:
            UnavailableError: The state can't be reached.
        """
        limit = now() - _SETTLED
        query = ThreadQuery(status="busy", limit=_UNSETTLED, sort_by="updated_at", descending=False)
        for thread in await self._store.threads(query):
            if thread.updated_at >= limit:
                continue
            with suppress(ConflictError, UnreadableError):
                async with self._worker.hold(thread.thread_id):
                    if not await self._store.active_runs(thread.thread_id):
                        newest = await self._store.runs(thread.thread_id, None, 1, 0)
                        await self._store.settle_thread(thread.thread_id, newest[0].status if newest else "success")

    async def _go(self) -> None:
        settled, loop = False, Loop("old threads")
        while True:
            await asyncio.sleep(_INTERVAL)
            async with loop.turn():
                if not settled:
                    # Once is enough, since another pod begins where one has died; it looks through all threads.
                    await self.settle()
                    settled = True
                await self.sweep()

    async def _remove(self, thread_id: str, limit: datetime) -> bool:
        """Removes a thread unless it was written to after `limit`, be it only now, or has a run that waits to begin."""
        with suppress(ConflictError, UnreadableError):
            async with self._worker.hold(thread_id):
                thread = await self._store.thread(thread_id)
                if thread is None or thread.updated_at >= limit:
                    return False
                if await self._store.active_runs(thread_id):
                    # Noted as in use, so that threads like it never are all that a sweep looks at.
                    await self._store.update_thread(thread_id, {})
                    return False
                await self._store.delete_thread(thread_id)
                return True
        return False
