"""What becomes of spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


_RESULTS = ("success", "error", "dropped")


class TracingMetrics:
    """Counts spans that left the pod, or did not."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.spans = Counter(
            "apm_agent_spans",
            "Spans by result: success; error, where the receiver did not take them; dropped, where too many waited.",
            ["result"],
            registry=registry,
        )
        for result in _RESULTS:
            # So that the first ones to be lost are an increase too.
            self.spans.labels(result)
