"""Metrics of a pod. Labels take few values: no ids, no addresses, no text of users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackHandler
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from langchain_core.outputs import LLMResult

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
        self._calls = Counter(
            "apm_agent_model_calls", "Calls to models, by result.", ["result"], registry=self.registry
        )
        self._tokens = Counter(
            "apm_agent_model_tokens",
            "Tokens that models reported, by direction.",
            ["direction"],
            registry=self.registry,
        )
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
        self.loop_lag = Gauge(
            "apm_agent_event_loop_lag_seconds",
            "Time the event loop last took to answer.",
            registry=self.registry,
        )
        self.state_up = Gauge(
            "apm_agent_state_up", "1 if the state could be reached last time.", registry=self.registry
        )

    def running(self) -> AbstractContextManager[object]:
        """Counts a run as running inside."""
        return self._running.track_inprogress()

    def open_request(self) -> AbstractContextManager[object]:
        """Counts a request as open inside."""
        return self._open.track_inprogress()

    def run_ended(self, status: str, duration: float) -> None:
        """Counts a run; `duration` is in seconds."""
        self._runs.labels(status).inc()
        self._seconds.observe(duration)

    def request_ended(self, handler: str, code: int) -> None:
        """Counts a request."""
        self._requests.labels(handler, str(code)).inc()

    def authenticated(self, method: str) -> None:
        """Counts a request whose caller is known."""
        self._authenticated.labels(method).inc()

    def refused(self, code: int) -> None:
        """Counts a request that was refused for its caller."""
        self._refused.labels(str(code)).inc()

    def model_callback(self) -> AsyncCallbackHandler:
        """Counts the model calls of the graph it is given to."""
        return _ModelCallback(self._calls, self._tokens)


class _ModelCallback(AsyncCallbackHandler):
    def __init__(self, calls: Counter, tokens: Counter) -> None:
        self._calls = calls
        self._tokens = tokens

    async def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self._calls.labels("success").inc()
        for generations in response.generations:
            for generation in generations:
                usage = getattr(getattr(generation, "message", None), "usage_metadata", None) or {}
                self._tokens.labels("input").inc(usage.get("input_tokens", 0))
                self._tokens.labels("output").inc(usage.get("output_tokens", 0))

    async def on_llm_error(self, error: BaseException, **_: Any) -> None:
        self._calls.labels(str(getattr(error, "kind", "Other"))).inc()
