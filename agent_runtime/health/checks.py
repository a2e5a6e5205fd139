from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from agent_runtime.errors import AgentError, NotFoundError
from agent_runtime.health.dependencies import PEER, STATE, TIME_LIMIT, Dependency, dependencies_of
from agent_runtime.health.result import HealthResult, HealthStatus, overall
from agent_runtime.resilience.breaker import CircuitState

if TYPE_CHECKING:
    from agent_runtime.agent import Agent

_FRESH = 5.0
"""Seconds for which an answer is told again, so that who asks often makes no load elsewhere."""
_BY_BREAKER = {CircuitState.OPEN: HealthStatus.UNHEALTHY, CircuitState.HALF_OPEN: HealthStatus.DEGRADED}


class Checks:
    """Looks how an agent is. Whoever asks at the same time gets the same answer."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._looking: asyncio.Task[tuple[HealthResult, ...]] | None = None
        self._looked = 0.0

    async def dependencies(self) -> HealthResult:
        """What the agent depends on: unhealthy if its state is, degraded if anything else is not healthy."""
        found = await self._found()
        own = next(one.status for one in found if one.kind == STATE)
        return HealthResult(
            "dependencies", "dependencies", overall(own, [one.status for one in found]), dependencies=found
        )

    async def orchestrator(self) -> HealthResult:
        """The agent itself in this pod: whether it takes and executes runs."""
        agent = self._agent
        problem = "a part of the process has failed" if not agent.live else None
        problem = problem or agent.link.problem or ("the pod is about to end" if agent.draining else None)
        status = HealthStatus.HEALTHY if problem is None else HealthStatus.UNHEALTHY
        return HealthResult(agent.config.agent.name, "orchestrator", status, problem)

    async def agents(self) -> HealthResult:
        """The agent and those it asks."""
        own, others = await self._own(), await self._peers()
        status = overall(own.status, [one.status for one in others])
        return HealthResult("agents", "agents", status, dependencies=(own, *others))

    async def agent(self, name: str) -> HealthResult:
        """The agent, or one that it asks; underscores stand for dashes too.

        Raises:
            NotFoundError: It is neither.
        """
        wanted = name.replace("_", "-")
        if wanted == self._agent.config.agent.name:
            return await self._own()
        found = next((one for one in await self._peers() if one.name == wanted), None)
        if found is None:
            raise NotFoundError(f"agent {self._agent.config.agent.name} asks no agent {wanted}")
        return found

    async def whole(self) -> HealthResult:
        """All of it."""
        began = time.monotonic()
        parts = (await self.orchestrator(), await self.dependencies())
        status = overall(parts[0].status, [part.status for part in parts])
        if parts[1].status is HealthStatus.UNHEALTHY:
            status = HealthStatus.UNHEALTHY
        name = self._agent.config.agent.name
        return HealthResult(name, "agent", status, response_time_ms=_since(began), dependencies=parts)

    async def _own(self) -> HealthResult:
        whole = await self.whole()
        (orchestrator, dependencies) = whole.dependencies
        return replace(whole, message=orchestrator.message, dependencies=dependencies.dependencies)

    async def _peers(self) -> tuple[HealthResult, ...]:
        return tuple(one for one in await self._found() if one.kind == PEER)

    async def _found(self) -> tuple[HealthResult, ...]:
        if self._looking is None or (self._looking.done() and time.monotonic() > self._looked + _FRESH):
            self._looked = time.monotonic()
            self._looking = asyncio.create_task(self._look())
        # Who goes away does not end the looking of the others.
        return await asyncio.shield(self._looking)

    async def _look(self) -> tuple[HealthResult, ...]:
        return tuple(await asyncio.gather(*(self._check(one) for one in dependencies_of(self._agent))))

    async def _check(self, one: Dependency) -> HealthResult:
        began = time.monotonic()
        status, message = HealthStatus.HEALTHY, None
        if one.ask is not None:
            try:
                async with asyncio.timeout(TIME_LIMIT):
                    await one.ask()
            except TimeoutError:
                status, message = HealthStatus.UNHEALTHY, f"no answer within {TIME_LIMIT:g} s"
            except AgentError as error:
                status, message = HealthStatus.UNHEALTHY, self._agent.settings.redaction(str(error))
        taken = _since(began) if one.ask is not None else None
        state = self._agent.resilience.breakers.state(one.breaker)
        if status is HealthStatus.HEALTHY and state in _BY_BREAKER:
            status, message = _BY_BREAKER[state], f"calls failed too often: its breaker is {state.value}"
        return HealthResult(one.name, one.kind, status, message, taken, state.value if state else None)


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 3)
