from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_LAG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600)


class EventMetrics:
    """What is counted of events. Consumers are those of the spec, so there are few."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.accepted = Counter("apm_agent_events_accepted", "Events that came into the log here.", registry=registry)
        self.duplicates = Counter("apm_agent_events_duplicates", "Events that the log had already.", registry=registry)
        self.refused = Counter(
            "apm_agent_events_refused", "Events that were not accepted, by reason.", ["reason"], registry=registry
        )
        self.delivered = Counter(
            "apm_agent_events_delivered",
            "Attempts to deliver an event, by consumer and outcome.",
            ["consumer", "outcome"],
            registry=registry,
        )
        self.lag = Histogram(
            "apm_agent_events_lag_seconds",
            "Time from the acceptance of an event to its delivery, by consumer.",
            ["consumer"],
            buckets=_LAG_SECONDS,
            registry=registry,
        )
        self.pending = Gauge(
            "apm_agent_events_pending", "Events of the agent that some consumer has yet to get.", registry=registry
        )
        self.dead_letters = Gauge("apm_agent_events_dead_letters", "Dead letters of the agent.", registry=registry)
        self.dropped = Counter(
            "apm_agent_events_dropped", "Dead letters that were removed since there were too many.", registry=registry
        )
        self.filter_errors = Counter(
            "apm_agent_events_filter_errors",
            "Filters that could not be evaluated on an event, which then did not fit.",
            ["consumer"],
            registry=registry,
        )
