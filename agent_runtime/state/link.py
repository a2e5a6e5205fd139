"""The connection to the place of the state, and whether it works."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from agent_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langgraph.checkpoint.base import BaseCheckpointSaver

    from agent_runtime.metrics import Metrics
    from agent_runtime.state.store import Store

log = structlog.get_logger()

_INTERVAL = 2.0
_PATIENCE = 5.0


class StateLink:
    """Prepares the store once it answers, and then watches it. Neither start nor liveness waits for it."""

    def __init__(self, store: Store, on_ready: Callable[[BaseCheckpointSaver[Any]], None], metrics: Metrics) -> None:
        self._store = store
        self._on_ready = on_ready
        self._metrics = metrics
        self._prepared = False
        self.problem: str | None = "not connected yet"
        """Why the state can't be used, or None."""

    async def watch(self) -> None:
        """Runs until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_INTERVAL)

    async def look(self) -> None:
        """Asks the store once, and keeps the result in `problem`."""
        before = self.problem
        try:
            async with asyncio.timeout(_PATIENCE if self._prepared else None):
                await self._use()
            self.problem = None
        except TimeoutError:
            self.problem = f"no answer within {_PATIENCE:g} s"
        except UnavailableError as error:
            self.problem = str(error)
        self._metrics.state_up.set(self.problem is None)
        if self.problem != before:
            log.info("state can be used") if self.problem is None else log.warning("no state", reason=self.problem)

    async def _use(self) -> None:
        if self._prepared:
            await self._store.ping()
            return
        self._on_ready(await self._store.prepare())
        self._prepared = True
