"""Loops that go on until they are cancelled, whatever happens in a turn of theirs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter

from agent_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from prometheus_client import CollectorRegistry

log = structlog.get_logger()

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_DOUBLED = 10
"""How often the pause is doubled at most."""

# Of the process, since loops are of all layers; a process has one agent.
FAILURES = Counter(
    "apm_agent_loop_failures",
    "Turns of the loops in the background that failed in a way which nobody expected, by loop. They go on.",
    ["loop"],
    registry=None,
)


def install(registry: CollectorRegistry) -> None:
    """Shows the counter in a registry."""
    registry.register(FAILURES)


class Loop:
    """What an endless loop does about failures that nobody expected: it tells of them, waits, and goes on."""

    def __init__(self, name: str, longest: float = _LONGEST_PAUSE) -> None:
        """`longest` is the most that it waits after a failure, in seconds."""
        self._name = name
        self._longest = longest
        self._failed = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One turn, which may fail. That the state is away, of which its link tells, is expected of every turn."""
        try:
            yield
        except UnavailableError:
            return
        except Exception as error:  # noqa: BLE001 - told of
            await asyncio.sleep(self.failed(error))
        else:
            self._failed = 0

    def failed(self, error: Exception) -> float:
        """Tells of a turn's failure; the seconds to wait before the next one."""
        pause = min(_FIRST_PAUSE * (1 << self._failed), self._longest)
        self._failed = min(self._failed + 1, _DOUBLED)
        FAILURES.labels(self._name).inc()
        log.error("a loop failed, and goes on", loop=self._name, seconds=pause, exc_info=error)
        return pause
