"""Metrics of limits, breakers and budgets, and of the calls of tools that they bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from agent_runtime.resilience.breaker import CircuitState
from agent_runtime.tracing import spans

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from agent_runtime.resilience.windows import RateLimitResult

_STATES = {CircuitState.CLOSED: 0, CircuitState.HALF_OPEN: 1, CircuitState.OPEN: 2}

_TOOL_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class ResilienceMetrics:
    """What limits, breakers, budgets and tools count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._checks = Counter(
            "apm_agent_rate_limit_checks",
            "Requests (`acceptance`), events from outside (`events`) and calls of other agents (`routing`) by whether "
            "limits allow them; `window` names what refused.",
            ["place", "result", "window"],
            registry=registry,
        )
        self._unshared = Counter(
            "apm_agent_rate_limit_checks_without_redis",
            "Checks made while Redis could not be used, by what came of it.",
            ["result"],
            registry=registry,
        )
        self.redis_up = Gauge("apm_agent_redis_up", "1 if Redis could be used last time.", registry=registry)

        self._breakers = Gauge(
            "apm_agent_breaker_state",
            "State of the breaker of a dependency: 0 closed, 1 half open, 2 open.",
            ["dependency"],
            registry=registry,
        )
        self._opened = Counter(
            "apm_agent_breaker_opened", "How often a breaker opened here.", ["dependency"], registry=registry
        )
        self._fallbacks = Counter(
            "apm_agent_node_fallbacks",
            "Nodes that failed and went on with their `fallback`.",
            ["node"],
            registry=registry,
        )

        self._over_budget = Counter(
            "apm_agent_budget_refusals",
            "Runs and calls of models that a budget refused, by whose it was.",
            ["level"],
            registry=registry,
        )
        self._cost = Counter(
            "apm_agent_model_cost", "What calls of models cost by their `price`.", ["model"], registry=registry
        )

        self._used = Gauge(
            "apm_agent_budget_used_ratio",
            "Part of the agent's own budget of this day (UTC) that is used up, by resource: tokens or cost.",
            ["resource"],
            registry=registry,
        )

        self._tools = Counter(
            "apm_agent_tool_calls",
            "Calls of the workflow's tools, by result: `success`, or the kind of the failure.",
            ["tool", "result"],
            registry=registry,
        )
        self._tool_seconds = Histogram(
            "apm_agent_tool_call_duration_seconds",
            "Time that calls of tools took, with all attempts.",
            ["tool"],
            buckets=_TOOL_SECONDS,
            registry=registry,
        )

    def budget_used(self, resource: str, ratio: float) -> None:
        """Notes how much of the agent's budget is used."""
        self._used.labels(resource).set(ratio)

    def tool_ended(self, tool: str, result: str, duration: float) -> None:
        """Counts a call of a tool; `duration` is in seconds."""
        self._tools.labels(tool, result).inc()
        self._tool_seconds.labels(tool).observe(duration, spans.exemplar())

    def over_budget(self, level: str) -> None:
        """Counts what a budget refused."""
        self._over_budget.labels(level).inc()

    def cost(self, model: str, millionths: int) -> None:
        """Counts what a call cost."""
        self._cost.labels(model).inc(max(0, millionths) / 1_000_000)

    def breaker(self, dependency: str, state: CircuitState) -> None:
        """Notes the new state of a breaker."""
        self._breakers.labels(dependency).set(_STATES[state])
        if state is CircuitState.OPEN:
            self._opened.labels(dependency).inc()

    def fell_back(self, node: str) -> None:
        """Counts a node that went on with its fallback."""
        self._fallbacks.labels(node).inc()

    def checked(self, place: str, result: RateLimitResult) -> None:
        """Counts a check of limits."""
        if result.allowed:
            self._checks.labels(place, "allowed", "").inc()
        else:
            self._checks.labels(place, "refused", result.window).inc()

    def unshared(self, result: str) -> None:
        """Counts a check that Redis had no part in."""
        self._unshared.labels(result).inc()
