"""Says when queries read whole collections, such as after somebody dropped an index."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from agent_runtime.background import Background
from agent_runtime.loops import Loop
from agent_runtime.state.mongo import plans

if TYPE_CHECKING:
    from agent_runtime.metrics import Metrics
    from agent_runtime.state.connection import MongoConnection

log = structlog.get_logger()

_INTERVAL = 3600.0
"""Seconds; the first look is one after the start."""
_SOON = 30.0


class IndexWatch(Background):
    """Asks the server from time to time how it finds what the agent asks for."""

    def __init__(self, connection: MongoConnection, agent: str, metrics: Metrics) -> None:
        self._connection = connection
        self._agent = agent
        self._metrics = metrics
        self._told: set[str] = set()

    async def look(self) -> None:
        """Asks once.

        Raises:
            UnavailableError: MongoDB can't be used.
        """
        for query, scans in (await plans.scanning(self._connection.database, self._agent)).items():
            self._metrics.state_scans.labels(query).set(scans)
            if scans and query not in self._told:
                log.warning("a query reads a whole collection", query=query, hint="has an index been dropped?")
            (self._told.add if scans else self._told.discard)(query)

    async def _go(self) -> None:
        pause, loop = _SOON, Loop("index watch")
        while True:
            await asyncio.sleep(pause)
            pause = _INTERVAL
            # A server or a user that may not explain is none of the agent's trouble.
            async with loop.turn():
                await self.look()
