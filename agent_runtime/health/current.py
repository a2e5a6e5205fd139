"""The health of the agent in this process, for code of one's own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from agent_runtime.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agent_runtime.health.checks import Checks
    from agent_runtime.health.result import HealthResult

T = TypeVar("T")

_PATIENCE = 5.0
"""Seconds; longer than any check takes."""
_of_the_process: list[HealthChecker] = []


@dataclass(frozen=True)
class HealthChecker:
    """Asks from threads, such as those of functions that are not asynchronous; these others await `checks`.

    Every method raises UnavailableError where it is called in the agent's event loop, which it would block.
    """

    checks: Checks
    loop: asyncio.AbstractEventLoop

    def check_agent(self, name: str) -> HealthResult:
        """The agent of this name. Raises NotFoundError if it is neither this one nor one that it asks."""
        return self._wait(self.checks.agent(name))

    def check_agents(self) -> HealthResult:
        """The agent and those it asks."""
        return self._wait(self.checks.agents())

    def check_orchestrator(self) -> HealthResult:
        """The agent itself in this pod."""
        return self._wait(self.checks.orchestrator())

    def check_dependencies(self) -> HealthResult:
        """What the agent depends on."""
        return self._wait(self.checks.dependencies())

    def check_overall(self) -> HealthResult:
        """All of it."""
        return self._wait(self.checks.whole())

    def _wait(self, asked: Coroutine[None, None, T]) -> T:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self.loop:
            asked.close()
            raise UnavailableError("this would block the agent's event loop: await the method of `checks` instead")
        future = asyncio.run_coroutine_threadsafe(asked, self.loop)
        try:
            return future.result(_PATIENCE)
        except TimeoutError:
            future.cancel()
            raise UnavailableError(f"the agent gave no answer within {_PATIENCE:g} s") from None


def install(checks: Checks) -> None:
    """Makes an agent's checks those of the process; called in its event loop."""
    _of_the_process[:] = [HealthChecker(checks, asyncio.get_running_loop())]


def remove(checks: Checks) -> None:
    """Takes them back, unless others have come in their place."""
    if _of_the_process and _of_the_process[0].checks is checks:
        _of_the_process.clear()


def get_health_checker() -> HealthChecker:
    """That of the agent in this process.

    Raises:
        ConfigError: None runs here; a program of one's own asks `GET /health/` of an agent.
    """
    if not _of_the_process:
        raise ConfigError("no agent runs in this process: ask `GET /health/` of one")
    return _of_the_process[0]
