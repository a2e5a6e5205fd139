"""Tells the metrics from time to time what no pod counts by itself: the queue, the budget, the room in MongoDB."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent_runtime.background import Background
from agent_runtime.loops import Loop
from agent_runtime.state.records import now

if TYPE_CHECKING:
    from agent_runtime.metrics import Metrics
    from agent_runtime.resilience.budgets import Budgets
    from agent_runtime.state.connection import MongoConnection
    from agent_runtime.state.store import Store

_INTERVAL = 15.0
_ROOM_EVERY = 20
"""The room is asked for once in so many looks: a server may have to look at its files for it."""


class Gauges(Background):
    """A part of the agent that looks and tells."""

    def __init__(
        self, store: Store, budgets: Budgets | None, connection: MongoConnection | None, metrics: Metrics
    ) -> None:
        self._store = store
        self._budgets = budgets
        self._connection = connection
        self._metrics = metrics

    async def look(self) -> None:
        """Tells of the queue and the budget.

        Raises:
            UnavailableError: The state can't be reached.
        """
        backlog = await self._store.backlog()
        self._metrics.queued.set(backlog.unended)
        self._metrics.waiting.set(backlog.waiting)
        self._metrics.oldest_queued.set((now() - backlog.since).total_seconds() if backlog.since else 0)
        if self._budgets is not None:
            for resource, ratio in (await self._budgets.used()).items():
                self._metrics.resilience.budget_used(resource, ratio)

    async def look_at_room(self) -> None:
        """Tells how full MongoDB is, where it says so.

        Raises:
            UnavailableError: MongoDB can't be reached, or the agent's user may not ask.
        """
        if self._connection is not None:
            await self._connection.measure()

    async def _go(self) -> None:
        looks, loop = 0, Loop("gauges")
        while True:
            for look in (self.look, *((self.look_at_room,) if looks % _ROOM_EVERY == 0 else ())):
                async with loop.turn():
                    await look()
            looks += 1
            await asyncio.sleep(_INTERVAL)
