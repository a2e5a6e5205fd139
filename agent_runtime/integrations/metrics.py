"""How calls to integrations go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

from agent_runtime.timed import timed
from agent_runtime.tracing import spans

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from agent_runtime.integrations.backend import Backend
    from agent_runtime.integrations.operation import A, Arguments, Operation

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class IntegrationMetrics:
    """Counts operations, each once however often it is tried."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "apm_agent_integration_calls",
            "Operations of integrations, by result: `success`, or the kind of the failure.",
            ["integration", "operation", "result"],
            registry=registry,
        )
        self._seconds = Histogram(
            "apm_agent_integration_call_duration_seconds",
            "Time that operations of integrations took, with all attempts.",
            ["integration"],
            buckets=_SECONDS,
            registry=registry,
        )

    def ended(self, operation: Operation[A], result: str, duration: float) -> None:
        """Counts an operation; `duration` is in seconds."""
        self._calls.labels(operation.integration, operation.name, result).inc()
        self._seconds.labels(operation.integration).observe(duration, spans.exemplar())


@dataclass(frozen=True)
class Measured:
    """Counts what a backend does."""

    backend: Backend
    metrics: IntegrationMetrics

    async def perform(self, operation: Operation[A], arguments: Arguments, key: str) -> A:
        """As the backend does it."""
        with (
            spans.span(
                f"{operation.integration} {operation.name}", "client", {"apm.integration": operation.integration}
            ),
            timed(lambda result, duration: self.metrics.ended(operation, result, duration)),
        ):
            return await self.backend.perform(operation, arguments, key)
