"""How many runs are accepted before the earlier ones have ended."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agent_runtime.errors import TooManyRequestsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from agent_runtime.metrics import Metrics
    from agent_runtime.state.store import Store

_ALONE = 0.9
"""The part of the queue that one caller may fill where nobody else waits; what is left lets others in."""
_AMONG_OTHERS = 0.5
_EXACT = 0.5
"""From this part of the queue on runs are counted at each one; below it, once a second."""
_FRESH = 1.0
_RETRY_AFTER = 5.0


class Quota:
    """Admits runs as long as there is room for them, with some left for every caller.

    Runs that come to several pods in the same moment may exceed the limit by one for each pod.
    """

    def __init__(self, store: Store, most: int, metrics: Metrics) -> None:
        self._store = store
        self._most = most
        self._metrics = metrics
        self._lock = asyncio.Lock()
        self._queued: dict[str, int] = {}
        """By owner; those that ended since are still in it."""
        self._adding = Counter[str]()
        """Those of them that the store may not know of yet."""
        self._counted = float("-inf")

    @asynccontextmanager
    async def admitted(self, owner: str, count: int = 1) -> AsyncIterator[Callable[[], None]]:
        """Counts runs that are added inside; what it yields is called when the store has one of them.

        Raises:
            TooManyRequestsError: There are too many, of this caller or of all.
        """
        await self._admit(owner, count)
        left = count

        def added() -> None:
            nonlocal left
            left -= 1
            self._adding -= Counter((owner,))

        try:
            yield added
        finally:
            self._adding -= Counter({owner: left})

    async def _admit(self, owner: str, count: int) -> None:
        async with self._lock:
            if time.monotonic() - self._counted > _FRESH or sum(self._queued.values()) + count > self._most * _EXACT:
                # Those that are added meanwhile count twice for a moment: rather than not at all.
                adding = +self._adding
                self._queued = dict(adding + Counter(await self._store.queued()))
                self._counted = time.monotonic()
                self._metrics.queued.set(sum(self._queued.values()))
            if reason := refusal(self._queued, owner, count, self._most):
                self._metrics.runs_refused.inc(count)
                raise TooManyRequestsError(reason, retry_after=_RETRY_AFTER)
            self._queued[owner] = self._queued.get(owner, 0) + count
            self._adding[owner] += count


def refusal(queued: Mapping[str, int], owner: str, count: int, most: int) -> str | None:
    """Why this caller's runs are not accepted, or None."""
    total, own = sum(queued.values()), queued.get(owner, 0)
    if total + count > most:
        return f"{total} runs of this agent have not ended, and {most} is the most (`runs.maxQueued`): come again later"
    share = max(1, int(most * (_AMONG_OTHERS if total > own else _ALONE)))
    if own + count > share:
        return f"{own} of your runs have not ended, and {share} is the most for one caller now: wait for some of them"
    return None
