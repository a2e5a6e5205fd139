from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks.headers import check_secret_headers
from agent_runtime.spec.checks.names import duplicates
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.headers import TAKEN_HEADERS
from agent_runtime.spec.mcp import MCPServerSpec

_PROTOCOL = {"accept", "last-event-id"}


def check_mcp_servers(spec: AgentSpec) -> Iterator[Problem]:
    """Servers have names of their own, their headers are theirs to set, and Secrets are not sent in the open."""
    yield from duplicates((server.name for server in spec.mcp_servers), "mcpServers", "MCP server")
    for number, server in enumerate(spec.mcp_servers):
        yield from _check_headers(server, f"mcpServers[{number}]")
        if server.tls is not None and not server.url.startswith("https:"):
            yield Problem(f"mcpServers[{number}].tls", "write `url` with `https`, or remove `tls`")


def _check_headers(server: MCPServerSpec, where: str) -> Iterator[Problem]:
    seen = {"authorization"} if server.bearer_token_secret_ref is not None else set()
    yield from check_secret_headers(server, where, seen, _taken)


def _taken(name: str) -> bool:
    return name in TAKEN_HEADERS or name in _PROTOCOL or name.startswith("mcp-")
