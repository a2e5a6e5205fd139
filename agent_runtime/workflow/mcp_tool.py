"""Tools of MCP servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import CallError, CallErrorKind, ConfigError
from agent_runtime.mcp.answer import value_of
from agent_runtime.mcp.offer import misfit
from agent_runtime.spec.tool import ANY_ARGUMENTS
from agent_runtime.workflow.http_tool import sendable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_runtime.mcp.offer import Offered
    from agent_runtime.mcp.server import MCPServer
    from agent_runtime.mcp.servers import MCPServers
    from agent_runtime.spec.tool import ToolSpec


@dataclass(frozen=True)
class MCPToolCaller:
    """Calls one tool of a server."""

    spec: ToolSpec
    server: MCPServer
    tool: str

    @classmethod
    def of(cls, spec: ToolSpec, servers: MCPServers | None) -> MCPToolCaller:
        """Raises ConfigError if the tool names no server that there is."""
        if spec.mcp is None or servers is None:
            raise ConfigError(f"tool {spec.name} names no MCP server: set its `mcp`, and `mcpServers`")
        return cls(spec, servers.get(spec.mcp.server), spec.mcp.tool)

    async def describe(self) -> ToolSpec:
        """With what the server says where the spec says nothing.

        Raises:
            CallError: The server could not be asked, has no such tool, or one that does not fit the spec.
        """
        offered = await self._offered()
        own = self.spec.parameters != ANY_ARGUMENTS
        told = {
            "description": self.spec.description or offered.description,
            "parameters": self.spec.parameters if own else dict(offered.parameters),
        }
        return self.spec.model_copy(update=told)

    async def call(self, arguments: Mapping[str, Any], key: str) -> Any:
        """The tool's answer, see `value_of`; `key` tells a repeated call from a new one.

        Raises:
            CallError: The arguments don't fit (`Refused`, nothing was sent), the tool told an error (`Refused`), or the
                call failed.
        """
        offered = await self._offered()
        given = dict(arguments)
        if not sendable(given):
            raise CallError(
                CallErrorKind.REFUSED, f"the arguments of tool {self.spec.name} hold text that is no Unicode"
            )
        if problem := await offered.arguments.mismatch(given):
            raise CallError(CallErrorKind.REFUSED, f"the arguments of tool {self.spec.name} don't fit: {problem}")
        result = await self.server.call(self.tool, given, key)
        return await value_of(result, offered, f"tool {self.spec.name}")

    async def _offered(self) -> Offered:
        offered = await self.server.offered(self.tool)
        if problem := misfit(self.spec.parameters, offered.parameters):
            raise CallError(
                CallErrorKind.REFUSED,
                f"tool {self.spec.name} does not fit tool {self.tool} of {self.server.what}: {problem}; correct its "
                "`parameters`, or remove them",
            )
        return offered
