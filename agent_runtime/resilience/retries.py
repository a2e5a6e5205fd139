"""Counts what is tried again, wherever in the process that happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter
from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

from agent_runtime.resilience.categories import categorize

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from stamina.instrumentation import RetryDetails

# Of the process, since what stamina calls is; a process has one agent.
RETRIES = Counter(
    "apm_agent_retries",
    "Calls and nodes that are tried again, by the category of the failure before.",
    ["category"],
    registry=None,
)


def install(registry: CollectorRegistry) -> None:
    """Shows the counter in a registry, and has it count what stamina tries again, beside what is told of that."""
    registry.register(RETRIES)
    others = [hook for hook in get_on_retry_hooks() if hook is not _count]
    set_on_retry_hooks([*others, _count])


def _count(details: RetryDetails) -> None:
    RETRIES.labels(categorize(details.caused_by).value).inc()
