from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from prometheus_client import Counter, Histogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Result = Literal["run", "missed", "refused", "put off"]
_LAG = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600)


class CronMetrics:
    """How ticks went."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ticks = Counter(
            "apm_agent_crons_ticks",
            "Ticks of crons, by result: run; put off, since there was no room for its run; missed; refused.",
            ["result"],
            registry=registry,
        )
        self._lag = Histogram(
            "apm_agent_crons_lag_seconds",
            "Time from a tick until its run was accepted.",
            buckets=_LAG,
            registry=registry,
        )

    def count(self, result: Result, number: int = 1) -> None:
        """Counts ticks."""
        self._ticks.labels(result).inc(number)

    def run(self, lag: float) -> None:
        """Counts a tick whose run was accepted; `lag` is in seconds."""
        self.count("run")
        self._lag.observe(max(0.0, lag))
