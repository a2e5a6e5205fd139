"""Metrics of a pod. Labels take few values: no ids, no addresses, no text of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from agent_runtime import loops
from agent_runtime.measuring import GraphMetrics, Measuring
from agent_runtime.release import release
from agent_runtime.resilience import retries
from agent_runtime.resilience.metrics import ResilienceMetrics
from agent_runtime.tracing import spans

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from langchain_core.callbacks import AsyncCallbackHandler

_RUN_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)


class Metrics:
    """The pod's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._runs = Counter("apm_agent_runs", "Runs that ended here, by status.", ["status"], registry=self.registry)
        self._seconds = Histogram(
            "apm_agent_run_duration_seconds",
            "Time that runs took.",
            buckets=_RUN_SECONDS,
            registry=self.registry,
        )
        self._running = Gauge("apm_agent_runs_running", "Runs that execute now.", registry=self.registry)
        self._requests = Counter(
            "apm_agent_http_requests",
            "HTTP requests, by handler and status.",
            ["handler", "code"],
            registry=self.registry,
        )
        self._open = Gauge("apm_agent_http_requests_open", "HTTP requests being answered.", registry=self.registry)
        self._authenticated = Counter(
            "apm_agent_authenticated_requests",
            "Requests whose caller is known, by what proved it.",
            ["method"],
            registry=self.registry,
        )
        self._refused = Counter(
            "apm_agent_refused_requests",
            "Requests that were refused for their caller, by status.",
            ["code"],
            registry=self.registry,
        )
        self.queued = Gauge(
            "apm_agent_runs_queued", "Runs of the agent that have not ended, over all pods.", registry=self.registry
        )
        self.waiting = Gauge(
            "apm_agent_runs_waiting", "Those of them that no pod has begun, or goes on with.", registry=self.registry
        )
        self.oldest_queued = Gauge(
            "apm_agent_runs_oldest_queued_seconds",
            "How long the run that waits longest has done so.",
            registry=self.registry,
        )
        self.runs_refused = Counter(
            "apm_agent_runs_refused", "Runs that were refused since too many had not ended.", registry=self.registry
        )
        self.webhooks = Counter(
            "apm_agent_webhooks", "Webhooks of runs that ended, by result.", ["result"], registry=self.registry
        )
        self.approvals_open = Gauge(
            "apm_agent_approvals_open", "Approvals of the agent that wait, over all pods.", registry=self.registry
        )
        self.approvals_oldest = Gauge(
            "apm_agent_approvals_oldest_seconds",
            "How long the approval that waits longest has done so.",
            registry=self.registry,
        )
        self._approvals_ended = Counter(
            "apm_agent_approvals_ended",
            "Approvals that ended here, by how: answered, expired, or closed as the thread went on.",
            ["status"],
            registry=self.registry,
        )
        self.loop_lag = Gauge(
            "apm_agent_event_loop_lag_seconds",
            "Time the event loop last took to answer.",
            registry=self.registry,
        )
        self.state_up = Gauge(
            "apm_agent_state_up", "1 if the state could be reached last time.", registry=self.registry
        )
        self.state_scans = Gauge(
            "apm_agent_state_scans",
            "1 if a query of the state reads a whole large collection, by query.",
            ["query"],
            registry=self.registry,
        )
        self.resilience = ResilienceMetrics(self.registry)
        self._graph = GraphMetrics(self.registry)
        retries.install(self.registry)
        loops.install(self.registry)
        Gauge(
            "apm_agent_build_info", "1; the labels tell the release.", ["version", "langgraph"], registry=self.registry
        ).labels(release("apm-operator"), release("langgraph")).set(1)

    def running(self) -> AbstractContextManager[object]:
        """Counts a run as running inside."""
        return self._running.track_inprogress()

    def open_request(self) -> AbstractContextManager[object]:
        """Counts a request as open inside."""
        return self._open.track_inprogress()

    def run_ended(self, status: str, duration: float) -> None:
        """Counts a run; `duration` is in seconds."""
        self._runs.labels(status).inc()
        self._seconds.observe(duration, spans.exemplar())

    def interrupt_ended(self, kind: str, status: str) -> None:
        """Counts an interrupt, if it is an approval."""
        if kind == "approval":
            self._approvals_ended.labels(status).inc()

    def request_ended(self, handler: str, code: int) -> None:
        """Counts a request."""
        self._requests.labels(handler, str(code)).inc()

    def authenticated(self, method: str) -> None:
        """Counts a request whose caller is known."""
        self._authenticated.labels(method).inc()

    def refused(self, code: int) -> None:
        """Counts a request that was refused for its caller."""
        self._refused.labels(str(code)).inc()

    def callback(self) -> AsyncCallbackHandler:
        """Measures the graph of the run that it is given to."""
        return Measuring(self._graph)
