"""Limits, budgets, retries, breakers and degradation: for the runtime, and for graphs of one's own.

What stands here is for such graphs, see docs/write-an-agent.md.
"""

from typing import TYPE_CHECKING, Any

from agent_runtime.resilience.breaker import CircuitBreaker, CircuitOpenError, CircuitState
from agent_runtime.resilience.categories import ErrorCategory, categorize
from agent_runtime.resilience.degradation import graceful_degradation
from agent_runtime.resilience.retry import RetryConfig, retry_with_backoff
from agent_runtime.resilience.windows import RateLimitResult

if TYPE_CHECKING:
    from agent_runtime.resilience.python import (
        AsyncRateLimiter,
        RateLimitConfig,
        RateLimiter,
        get_async_rate_limiter,
        get_rate_limiter,
    )

__all__ = [
    "AsyncRateLimiter",
    "CircuitBreaker",
    "CircuitOpenError",
    "CircuitState",
    "ErrorCategory",
    "RateLimitConfig",
    "RateLimitResult",
    "RateLimiter",
    "RetryConfig",
    "categorize",
    "get_async_rate_limiter",
    "get_rate_limiter",
    "graceful_degradation",
    "retry_with_backoff",
]


def __getattr__(name: str) -> Any:
    """The rest, whose libraries an agent without limits does not load."""
    if name in __all__:
        from agent_runtime.resilience import python  # noqa: PLC0415 - likewise

        return getattr(python, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
