"""What keeps an agent, and what it depends on, from being overrun: put together from its spec."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_runtime.errors import CallError, CallErrorKind, UnavailableError
from agent_runtime.resilience.breakers import Breakers
from agent_runtime.resilience.limiter import EVENTS, Limits, RateLimits, Unlimited, refusal
from agent_runtime.resilience.settings import RedisPlace
from agent_runtime.resilience.subject import Subject, subject

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent_runtime.resilience.breakers import BreakerStore
    from agent_runtime.resilience.budgets import Budgets
    from agent_runtime.resilience.documents import Documents
    from agent_runtime.resilience.metrics import ResilienceMetrics
    from agent_runtime.resilience.redis_connection import RedisConnection
    from agent_runtime.resilience.windows import RateLimitResult
    from agent_runtime.spec.agent import RuntimeConfig
    from agent_runtime.spec.secret import SecretKeyRef


@dataclass
class Notes:
    """What one request learned of its limits."""

    result: RateLimitResult | None = None


NOTES: ContextVar[Notes | None] = ContextVar("notes", default=None)
"""Where checks of this context's request are noted; None where nobody reads them."""


class Resilience:
    """An agent's limits; a part of the agent that ends with it."""

    def __init__(
        self,
        metrics: ResilienceMetrics,
        *,
        limits: Limits | None = None,
        breakers: Breakers | None = None,
        budgets: Budgets | None = None,
        redis: RedisConnection | None = None,
    ) -> None:
        self.metrics = metrics
        self.breakers = breakers or Breakers(on_change=metrics.breaker)
        self.budgets = budgets
        self._limits = limits or Unlimited()
        self.redis = redis

    @classmethod
    def of(
        cls,
        config: RuntimeConfig,
        secrets_dir: Path,
        read: Callable[[SecretKeyRef], str],
        metrics: ResilienceMetrics,
        documents: Documents | None = None,
    ) -> Resilience:
        """From the spec; `read` reads a Secret."""
        redis = _redis(config, secrets_dir, read, metrics)
        scope = config.agent.key
        breakers = Breakers(_store(scope, redis, documents), metrics.breaker)
        return cls(
            metrics,
            limits=_limits(config, scope, redis, metrics),
            breakers=breakers,
            budgets=_budgets(config, scope, documents, metrics),
            redis=redis,
        )

    async def admit(self, caller: Subject, token: str = "") -> None:
        """Counts a run that is about to be accepted; one whose `token` was counted before is let through.

        Raises:
            TooManyRequestsError: The caller's limits or budgets, or the agent's, are used up.
            UnavailableError: Redis can't be used, and the spec says to refuse then; or MongoDB, which has the budgets.
        """
        if self.budgets is not None:
            await self.budgets.admit(caller)
        result = await self._limits.check(caller, token=token)
        if notes := NOTES.get():
            notes.result = result
        if not result.allowed:
            raise refusal(result, "this agent takes no more requests now")

    async def admit_event(self, caller: Subject, token: str) -> None:
        """Counts an event from outside, apart from runs; one whose `token` was counted before is let through.

        Raises:
            TooManyRequestsError: The caller's limits, or the agent's, are used up.
            UnavailableError: Redis can't be used, and the spec says to refuse then.
        """
        result = await self._limits.check(caller, EVENTS, token)
        if notes := NOTES.get():
            notes.result = result
        if not result.allowed:
            raise refusal(result, "this agent takes no more events now")

    async def accepted(self, token: str) -> None:
        """Says that a run with this token was accepted: one that comes after it, and does not find it, counts."""
        await self._limits.forget(token)

    async def route(self, target: str, token: str) -> None:
        """Counts a step of the running workflow to another agent or node.

        Raises:
            CallError: Limits are used up; or Redis can't be used, and the spec says to refuse then.
        """
        try:
            result = await self._limits.check(subject.get(), target, token)
        except UnavailableError as away:
            raise CallError(CallErrorKind.CONNECTION, f"{target} is not asked now: {away}") from away
        if not result.allowed:
            error = refusal(result, f"{target} is not asked now")
            raise CallError(CallErrorKind.RATE_LIMIT, str(error), retry_after=result.retry_after)

    async def close(self) -> None:
        """Gives up the connection to Redis."""
        await self.breakers.close()
        if self.redis is not None:
            await self.redis.close()


def _redis(
    config: RuntimeConfig, secrets_dir: Path, read: Callable[[SecretKeyRef], str], metrics: ResilienceMetrics
) -> RedisConnection | None:
    spec = config.spec.redis
    if spec is None:
        return None
    from agent_runtime.resilience.redis_connection import RedisConnection  # noqa: PLC0415 - only what is used is loaded

    ref = spec.password_secret_ref
    password = None if ref is None else (lambda: read(ref))
    if config.spec.graph is not None:
        from agent_runtime.resilience.python import configure  # noqa: PLC0415 - likewise

        authorities = spec.tls.ca_secret_ref.path(secrets_dir) if spec.tls else None
        scope = config.agent.key
        configure(RedisPlace(spec.host, spec.port, password, authorities, scope))
    return RedisConnection(spec, secrets_dir, password, lambda up: metrics.redis_up.set(int(up)))


def _store(scope: str, redis: RedisConnection | None, documents: Documents | None) -> BreakerStore | None:
    if redis is None and documents is None:
        return None
    from agent_runtime.resilience.breaker_stores import MongoBreakers, RedisBreakers  # noqa: PLC0415 - likewise

    if redis is not None:
        return RedisBreakers(redis, scope)
    return MongoBreakers(documents, scope) if documents is not None else None


def _budgets(
    config: RuntimeConfig, scope: str, documents: Documents | None, metrics: ResilienceMetrics
) -> Budgets | None:
    if config.spec.budgets is None:
        return None
    from agent_runtime.resilience.budget_stores import MemoryBudgets, MongoBudgets  # noqa: PLC0415 - likewise
    from agent_runtime.resilience.budgets import Budgets  # noqa: PLC0415 - likewise

    store = MemoryBudgets() if documents is None else MongoBudgets(documents, scope)
    return Budgets(config.spec.budgets, store, metrics)


def _limits(config: RuntimeConfig, scope: str, redis: RedisConnection | None, metrics: ResilienceMetrics) -> Limits:
    if config.spec.rate_limits is None:
        return Unlimited()
    from agent_runtime.resilience.memory_windows import MemoryWindows  # noqa: PLC0415 - likewise
    from agent_runtime.resilience.redis_windows import RedisWindows  # noqa: PLC0415 - likewise

    shared = RedisWindows(redis, scope) if redis is not None else None
    return RateLimits(config.spec.rate_limits, MemoryWindows(), shared, metrics)
