"""The MCP servers that an agent uses."""

from __future__ import annotations

import asyncio
import ssl
from contextvars import Context
from typing import TYPE_CHECKING

from agent_runtime import outbound
from agent_runtime.errors import ConfigError
from agent_runtime.mcp.metrics import MCPMetrics
from agent_runtime.mcp.server import MCPServer
from agent_runtime.tls.authorities import AuthoritiesContext

if TYPE_CHECKING:
    import httpx
    from prometheus_client import CollectorRegistry

    from agent_runtime.outbound import Secrets
    from agent_runtime.resilience.breakers import Breakers
    from agent_runtime.spec.mcp import MCPServerSpec


class MCPServers:
    """Made from the spec; as a part of the agent it keeps their lists of tools up to date."""

    def __init__(
        self,
        specs: tuple[MCPServerSpec, ...],
        http: httpx.AsyncClient,
        secrets: Secrets,
        breakers: Breakers,
        registry: CollectorRegistry,
    ) -> None:
        metrics = MCPMetrics(registry)
        self._own: list[httpx.AsyncClient] = []
        self._servers: dict[str, MCPServer] = {}
        self._tasks: list[asyncio.Task[None]] = []
        for spec in specs:
            client = http
            if spec.tls is not None:
                file = spec.tls.ca_secret_ref.path(secrets.directory)
                client = outbound.client(AuthoritiesContext(ssl.PROTOCOL_TLS_CLIENT, file))
                self._own.append(client)
            guard = breakers.guard(f"mcp {spec.name}", spec.breaker)
            self._servers[spec.name] = MCPServer(spec, client, secrets, guard, metrics)

    def get(self, name: str) -> MCPServer:
        """The server of this name. Raises ConfigError where there is none."""
        if name not in self._servers:
            raise ConfigError(f"there is no MCP server {name}: add it to `mcpServers`")
        return self._servers[name]

    @property
    def all(self) -> tuple[MCPServer, ...]:
        """The servers, in the spec's order."""
        return tuple(self._servers.values())

    async def prepare(self) -> None:
        """Does nothing: a server that is away must not keep the agent from starting."""

    def start(self) -> None:
        """Begins to ask them for their tools."""
        # In a context of their own: what a caller passes on is not for them.
        self._tasks = [asyncio.create_task(server.watch(), context=Context()) for server in self._servers.values()]

    @property
    def healthy(self) -> bool:
        """Whether the lists are being kept."""
        return not any(task.done() for task in self._tasks)

    def drain(self) -> None:
        """Does nothing: runs that still go on use them."""

    async def close(self) -> None:
        """Gives up all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(client.aclose() for client in self._own))
