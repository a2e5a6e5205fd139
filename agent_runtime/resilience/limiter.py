"""The rate limits of an agent."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from agent_runtime.errors import TooManyRequestsError, UnavailableError
from agent_runtime.resilience.windows import UNLIMITED, Level, Quota, RateLimitResult, Window
from agent_runtime.spec.rate_limits import TOGETHER

if TYPE_CHECKING:
    from agent_runtime.resilience.memory_windows import MemoryWindows
    from agent_runtime.resilience.metrics import ResilienceMetrics
    from agent_runtime.resilience.redis_windows import RedisWindows
    from agent_runtime.resilience.subject import Subject
    from agent_runtime.spec.rate_limits import RateLimitsSpec, WindowsSpec

EVENTS = "/events"
"""The target of events from outside; no node and no agent has such a name."""
_WINDOWS = (
    ("burst", "burst", 1),
    ("minute", "requests_per_minute", 60),
    ("hour", "requests_per_hour", 3600),
    ("day", "requests_per_day", 86400),
)


class Limits(Protocol):
    """Counts requests."""

    async def check(self, subject: Subject, target: str = "", token: str = "") -> RateLimitResult:
        """Counts a request of `subject` if it is allowed.

        Args:
            subject: who asks.
            target: the agent or node that the workflow goes to; "" for a request to this agent. Each is counted apart.
            token: names the request; a repeated one is not counted again.

        Raises:
            UnavailableError: Redis can't be used, and the spec says to refuse then.
        """
        ...

    async def forget(self, token: str) -> None:
        """Counts a request that comes with this token as a new one."""
        ...


class RateLimits:
    """Limits per account, user and agent, in Redis where there is one, else in the memory of the pod."""

    def __init__(
        self, spec: RateLimitsSpec, local: MemoryWindows, shared: RedisWindows | None, metrics: ResilienceMetrics
    ) -> None:
        self._spec = spec
        self._local = local
        self._shared = shared
        self._metrics = metrics
        self._windows = {
            "account": _windows(spec, spec.per_account),
            "user": _windows(spec, spec.per_user),
            "agent": _windows(spec, spec.per_agent, TOGETHER),
        }

    async def check(self, subject: Subject, target: str = "", token: str = "") -> RateLimitResult:
        """As `Limits.check`."""
        result = await self._take(self._quotas(subject, target), token)
        self._metrics.checked({"": "acceptance", EVENTS: "events"}.get(target, "routing"), result)
        return result

    async def forget(self, token: str) -> None:
        """As `Limits.forget`."""
        self._local.forget(token)
        if self._shared is not None:
            with suppress(UnavailableError):  # then it is forgotten within the hour
                await self._shared.forget(token)

    async def _take(self, quotas: list[Quota], token: str) -> RateLimitResult:
        if self._shared is None:
            return self._local.take(quotas, token)
        try:
            return await self._shared.take(quotas, token)
        except UnavailableError:
            if self._spec.on_unavailable == "Refuse":
                self._metrics.unshared("refused")
                raise
        result = self._local.take(quotas, token)
        self._metrics.unshared("allowed" if result.allowed else "refused")
        return result

    def _quotas(self, subject: Subject, target: str) -> list[Quota]:
        who: dict[Level, str] = {"account": subject.account, "agent": "all"}
        if subject.user:
            who["user"] = f"{subject.account}|{subject.user}"
        return [Quota.of(level, target, name, self._windows[level]) for level, name in who.items()]


def refusal(result: RateLimitResult, what: str) -> TooManyRequestsError:
    """The error of a refused request; `what` says for whom or where."""
    level, _, window = result.window.partition("-")
    message = f"{what}: {result.limit} requests per {_LENGTHS[window]} and {level} are allowed; try again later"
    return TooManyRequestsError(message, retry_after=result.retry_after, headers=result.headers)


_LENGTHS = {"burst": "second", "minute": "minute", "hour": "hour", "day": "day"}


def _windows(spec: RateLimitsSpec, other: WindowsSpec | None, factor: int = 1) -> tuple[Window, ...]:
    return tuple(
        Window(name, getattr(other, field, None) or factor * getattr(spec, field), seconds)
        for name, field, seconds in _WINDOWS
    )


class Unlimited:
    """Takes the place of limits where the spec has none."""

    async def check(self, subject: Subject, target: str = "", token: str = "") -> RateLimitResult:  # noqa: ARG002
        """Allows everything."""
        return UNLIMITED

    async def forget(self, token: str) -> None:
        """Knows none."""
