"""When a node is tried again, and which kind a failure is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langgraph.errors import NodeTimeoutError
from langgraph.types import RetryPolicy

from agent_runtime.errors import CallError
from agent_runtime.spec.scalars import seconds

if TYPE_CHECKING:
    from agent_runtime.spec.node import RetrySpec


def retry_policy(spec: RetrySpec | None) -> RetryPolicy | None:
    """The LangGraph policy; without a spec a node is not tried again."""
    if spec is None:
        return None
    return RetryPolicy(
        initial_interval=seconds(spec.initial),
        backoff_factor=spec.factor,
        max_interval=seconds(spec.max),
        max_attempts=spec.attempts,
        retry_on=lambda error: "Any" in spec.errors or kind(error) in spec.errors,
    )


def kind(error: BaseException) -> str | None:
    """The kind of a failure, as `retry.errors` names it."""
    if isinstance(error, CallError):
        return error.kind.value
    if isinstance(error, NodeTimeoutError | TimeoutError):
        return "Timeout"
    return "Connection" if isinstance(error, ConnectionError) else None
