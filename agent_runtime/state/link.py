"""The connection to the place of the state, and whether it works."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from agent_runtime.errors import UnavailableError
from agent_runtime.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agent_runtime.metrics import Metrics
    from agent_runtime.state.store import Store

log = structlog.get_logger()

_INTERVAL = 2.0
_PATIENCE = 5.0


class StateLink:
    """Prepares the store once it answers, and then watches it. Neither start nor liveness waits for it."""

    def __init__(self, store: Store, prepare: Callable[[], Awaitable[None]], metrics: Metrics) -> None:
        """`prepare` is called until it raises no UnavailableError."""
        self._store = store
        self._prepare = prepare
        self._metrics = metrics
        self._prepared = False
        self.problem: str | None = "not connected yet"
        """Why the state can't be used, or None."""

    async def watch(self) -> None:
        """Runs until cancelled."""
        loop = Loop("state link")
        while True:
            async with loop.turn():
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
        await self._prepare()
        self._prepared = True
