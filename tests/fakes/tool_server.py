"""A service that tools call, and that remembers how it was called."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


@dataclass(frozen=True)
class Call:
    """One request as it came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ToolServer:
    """Answers with the statuses in turn, then always with 200."""

    statuses: list[int]
    answer: Any
    url: str = ""
    calls: list[Call] = field(default_factory=list)

    async def _serve(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode()
        body = await request.body()
        self.calls.append(Call(request.method, path, request.url.query, dict(request.headers), body))
        status = self.statuses.pop(0) if self.statuses else 200
        return JSONResponse(self.answer, status, {"location": "/elsewhere", "retry-after": "0"})


@asynccontextmanager
async def tool_server(*statuses: int, answer: Any = None) -> AsyncIterator[ToolServer]:
    """A service on a free loopback port."""
    fake = ToolServer(list(statuses), {"ok": True} if answer is None else answer)
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    async with serving(Starlette(routes=[Route("/{path:path}", fake._serve, methods=methods)])) as url:
        fake.url = url
        yield fake
