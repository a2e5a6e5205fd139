"""Spans on their way to the exporter. Loaded only where the spec has `tracing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import BatchSpanProcessor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from agent_runtime.tracing.metrics import TracingMetrics


class Batches(BatchSpanProcessor):
    """Keeps spans until they are sent, as many as there is room for, and counts those for which there is none."""

    def __init__(self, exporter: SpanExporter, metrics: TracingMetrics) -> None:
        super().__init__(exporter)
        self._dropped = metrics.spans.labels("dropped")

    def on_end(self, span: ReadableSpan) -> None:
        """As the base class, which lets the oldest span go where there is no room, and tells nobody."""
        waiting = self._batch_processor._queue  # noqa: SLF001 - it has no way to be asked
        if len(waiting) == waiting.maxlen:
            self._dropped.inc()
        super().on_end(span)
