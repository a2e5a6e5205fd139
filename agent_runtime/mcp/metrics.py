"""How calls to MCP servers go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from agent_runtime.timed import timed

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from prometheus_client import CollectorRegistry

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class MCPMetrics:
    """Counts calls, each once however often it is tried."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "apm_agent_mcp_calls",
            "Calls of tools of MCP servers, by result: `success`, or the kind of the failure.",
            ["server", "result"],
            registry=registry,
        )
        self._seconds = Histogram(
            "apm_agent_mcp_call_duration_seconds",
            "Time that calls of tools of MCP servers took, with all attempts.",
            ["server"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._tools = Gauge(
            "apm_agent_mcp_tools", "Tools that an MCP server listed last.", ["server"], registry=registry
        )

    def call(self, server: str) -> AbstractContextManager[None]:
        """Counts the call inside."""

        def tell(result: str, duration: float) -> None:
            self._calls.labels(server, result).inc()
            self._seconds.labels(server).observe(duration)

        return timed(tell)

    def listed(self, server: str, count: int) -> None:
        """Keeps how many tools a server has."""
        self._tools.labels(server).set(count)
