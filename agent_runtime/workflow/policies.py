"""When a node is tried again, and which kind a failure is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langgraph.errors import NodeTimeoutError
from langgraph.types import RetryPolicy

from agent_runtime.errors import CallError
from agent_runtime.resilience.categories import categorize, retry_after
from agent_runtime.resilience.retries import RETRIES
from agent_runtime.spec.scalars import seconds

if TYPE_CHECKING:
    from agent_runtime.spec.node_base import RetrySpec


class _Policy(RetryPolicy):
    """LangGraph asks `retry_on` and then, without a pause in between, how long to wait: so a `Retry-After` is kept."""

    asked: float | None = None
    failure: str = ""

    @property
    def initial_interval(self) -> float:
        RETRIES.labels(self.failure).inc()  # it is read just before another attempt, and only then
        return super().initial_interval if self.asked is None else self.asked

    @property
    def backoff_factor(self) -> float:
        return super().backoff_factor if self.asked is None else 1.0


def retry_policy(spec: RetrySpec | None) -> RetryPolicy | None:
    """The LangGraph policy; without a spec a node is not tried again."""
    if spec is None:
        return None

    def retry_on(error: Exception) -> bool:
        policy.asked = retry_after(error)
        policy.failure = category(error)
        return retries(spec, error)

    policy = _Policy(
        initial_interval=seconds(spec.initial),
        backoff_factor=spec.factor,
        max_interval=seconds(spec.max),
        max_attempts=spec.attempts,
        jitter=spec.jitter,
        retry_on=retry_on,
    )
    return policy


def retries(spec: RetrySpec, error: Exception) -> bool:
    """Whether a node is tried again after `error`; not if the other side asked for a longer pause than `max`."""
    if (retry_after(error) or 0.0) > seconds(spec.max):
        return False
    return not {"Any", kind(error), category(error)}.isdisjoint(spec.errors)


def kind(error: BaseException) -> str | None:
    """The kind of a failure, as `retry.errors` names it."""
    if isinstance(error, CallError):
        return error.kind.value
    if isinstance(error, NodeTimeoutError | TimeoutError):
        return "Timeout"
    return "Connection" if isinstance(error, ConnectionError) else None


def category(error: BaseException) -> str:
    """The category of a failure, as `retry.errors` names it."""
    return "TIMEOUT" if isinstance(error, NodeTimeoutError) else categorize(error).value
