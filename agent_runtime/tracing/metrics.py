"""What becomes of spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class TracingMetrics:
    """Counts spans that left the pod, or did not."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.spans = Counter(
            "apm_agent_spans",
            "Spans that were sent to the receiver of traces, by result: success or error.",
            ["result"],
            registry=registry,
        )
