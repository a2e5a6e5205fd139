"""An MCP server of the official library, which remembers how it was asked."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.subscriptions import InMemorySubscriptionBus, ToolsListChanged
from mcp_types import ContentBlock, ImageContent, TextContent, ToolAnnotations
from pydantic import BaseModel
from starlette.responses import JSONResponse, PlainTextResponse

from fakes.serving import serving_as

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import uvicorn
    from mcp.server.session import ServerSession
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Sum(BaseModel):
    total: int


@dataclass
class Asked:
    """One message of a client."""

    method: str
    params: dict[str, Any]
    headers: dict[str, str]


@dataclass
class FakeMCP:
    """What it was asked, and how it is to answer."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    """By method of the protocol, with what messages are answered in turn instead."""
    is_old: bool = False
    """Whether it speaks the versions with a handshake alone."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    sessions: list[ServerSession] = field(default_factory=list)
    server: MCPServer = field(init=False)

    def __post_init__(self) -> None:
        async def note(context: Any, call_next: Any) -> Any:
            if context.method == "tools/list":
                self.sessions.append(context.session)
            return await call_next(context)

        self.server = MCPServer("fake", subscriptions=self.bus)
        self.server.middleware.append(note)

    def of(self, method: str) -> list[Asked]:
        """The messages of one method."""
        return [each for each in self.asked if each.method == method]

    async def tell_of_change(self) -> None:
        """Tells those who listen that the list of tools is another one."""
        await self.bus.publish(ToolsListChanged())
        for session in self.sessions if self.is_old else ():
            await session.send_tool_list_changed()


def _with_tools(fake: FakeMCP) -> FakeMCP:
    server = fake.server

    @server.tool(description="Adds two numbers.", annotations=ToolAnnotations(idempotent_hint=True))
    def add(a: int, b: int) -> Sum:
        return Sum(total=a + b)

    @server.tool(structured_output=False)
    def say(text: str) -> str:
        return text

    @server.tool(structured_output=False)
    def fail(reason: str) -> str:
        raise ToolError(reason)

    @server.tool(structured_output=False)
    def draw() -> list[ContentBlock]:
        return [TextContent(text="a dot"), ImageContent(data="AAAA", mime_type="image/png")]

    @server.tool(structured_output=False)
    def who(context: Context[Any]) -> str:
        return json.dumps(dict(context.headers or {}))

    @server.tool(structured_output=False)
    async def wait() -> str:
        fake.begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            fake.cancelled.set()
            raise
        return "waited"

    return fake


def _recorded(app: ASGIApp, fake: FakeMCP) -> ASGIApp:
    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        asked = json.loads(body)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        method = asked.get("method", "")
        fake.asked.append(Asked(method, asked.get("params") or {}, headers))
        if fake.statuses.get(method):
            status = fake.statuses[method].pop(0)
            await PlainTextResponse("no", status, {"retry-after": "0"})(scope, receive, send)
            return
        if fake.is_old and method == "server/discover":
            told = {"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "Method not found"}}
            await JSONResponse(told, 400)(scope, receive, send)
            return
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await app(scope, replay, send)

    return handle


@asynccontextmanager
async def mcp_server(
    *, is_old: bool = False, config: dict[str, Any] | None = None, **statuses: list[int]
) -> AsyncIterator[FakeMCP]:
    """A server on a free loopback port; names of methods have `_` for `/`."""
    import uvicorn  # noqa: PLC0415

    fake = _with_tools(FakeMCP(is_old=is_old))
    fake.statuses = {name.replace("_", "/"): each for name, each in statuses.items()}
    app = _recorded(fake.server.streamable_http_app(), fake)
    made: uvicorn.Config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2, **(config or {}))
    async with serving_as(made) as url:
        fake.url = f"{url}/mcp"
        yield fake
