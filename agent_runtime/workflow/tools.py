"""What nodes and models call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from agent_runtime.resilience.breakers import no_guard
from agent_runtime.timed import timed
from agent_runtime.tracing import spans
from agent_runtime.workflow.http_tool import HTTPToolCaller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_runtime.resilience.metrics import ResilienceMetrics
    from agent_runtime.spec.tool import ToolSpec
    from agent_runtime.workflow.parts import Services


class Tool(Protocol):
    """Something a workflow can do in the world."""

    async def describe(self) -> ToolSpec:
        """Name, description and the JSON Schema of the arguments, as models are told.

        Raises:
            CallError: They are told by a service that could not be asked.
        """

    async def call(self, arguments: Mapping[str, Any], key: str) -> Any:
        """Does it; `key` stays the same when the call is repeated.

        Raises:
            CallError: The arguments don't fit (`Refused`), or it failed.
        """


def build(spec: ToolSpec, services: Services) -> Tool:
    """The tool of a spec. Raises ConfigError if it can't be made."""
    if spec.integration is not None:
        from agent_runtime.workflow.integration_tool import IntegrationToolCaller  # noqa: PLC0415 - only what is used

        return IntegrationToolCaller.of(spec, services.integrations())
    if spec.mcp is not None:
        from agent_runtime.workflow.mcp_tool import MCPToolCaller  # noqa: PLC0415 - likewise

        return MCPToolCaller.of(spec, services.mcp_servers)
    guard = services.resilience.breakers.guard(f"host {spec.http.host}", spec.http.breaker) if spec.http else no_guard
    return HTTPToolCaller(spec, services.http, services.secrets, guard)


def measured(name: str, tool: Tool, services: Services) -> Tool:
    """The tool with its calls counted."""
    return _Measured(name, tool, services.resilience.metrics)


@dataclass(frozen=True)
class _Measured:
    name: str
    tool: Tool
    metrics: ResilienceMetrics

    async def describe(self) -> ToolSpec:
        return await self.tool.describe()

    async def call(self, arguments: Mapping[str, Any], key: str) -> Any:
        about = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": self.name}
        with (
            spans.span(f"execute_tool {self.name}", "client", about),
            timed(lambda result, duration: self.metrics.tool_ended(self.name, result, duration)),
        ):
            return await self.tool.call(arguments, key)
