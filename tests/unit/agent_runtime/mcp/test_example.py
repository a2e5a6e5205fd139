"""The example that uses an MCP server and is one, over a server of the official library."""

from typing import Any

import httpx2
import yaml
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer
from mcp_types import ElicitResult

from cluster.settings import REPOSITORY
from fakes.agents import running
from fakes.serving import serving


def help_desk(closed: list[str]) -> MCPServer:
    server = MCPServer("help-desk")

    @server.tool()
    def find_ticket(number: str) -> dict[str, Any]:
        return {"number": number, "title": "No hot water"}

    @server.tool()
    def close_ticket(number: str) -> str:
        closed.append(number)
        return "closed"

    return server


async def test_a_ticket_is_closed_when_the_person_at_the_client_agrees(tmp_path):
    (tmp_path / "tickets").mkdir()
    (tmp_path / "tickets" / "token").write_text("a-token-of-ours")
    spec = yaml.safe_load((REPOSITORY / "examples" / "ticket-clerk.yaml").read_text())["spec"]
    closed: list[str] = []
    asked = []

    async def agree(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"choice": "close"})

    async with serving(help_desk(closed).streamable_http_app()) as url:
        spec = {name: spec[name] for name in ("description", "serve", "mcpServers", "workflow")}
        spec["mcpServers"][0]["url"] = f"{url}/mcp"
        async with running(spec, name="ticket-clerk", secrets=tmp_path) as it, httpx2.AsyncClient() as http:
            streams = streamable_http_client(f"{it.url}/mcp", http_client=http)
            async with Client(streams, elicitation_callback=agree, cache=None) as clerk:
                done = await clerk.call_tool("ticket-clerk", {"number": "4711"})
    assert asked == ["Close ticket 4711: No hot water?"]
    assert done.structured_content["decision"] == {"choice": "close"}
    assert closed == ["4711"]
