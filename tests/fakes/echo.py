"""A model and a service that say back what they were sent, headers included, as careless ones do."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


@dataclass
class Echo:
    """`/STATUS/...` answers with that status, in the body and in the head."""

    url: str
    authorizations: list[str] = field(default_factory=list)
    """What came as `Authorization`, and as `X-Api-Key` after it."""

    def app(self) -> Starlette:
        """The application."""
        return Starlette(routes=[Route("/{status:int}/{path:path}", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> Response:
        status = int(request.path_params["status"])
        authorization = request.headers.get("authorization", "")
        self.authorizations += [authorization, request.headers.get("x-api-key", "")]
        told = json.dumps({"url": str(request.url), "headers": dict(request.headers)})
        head = {"x-told": authorization, "location": f"/{authorization}", "retry-after": "0"}
        if status != 200:
            return JSONResponse({"error": {"message": told}}, status, head)
        if not request.url.path.endswith("/chat/completions"):
            return JSONResponse({"told": told}, status, head)
        body = await request.json()
        if body.get("stream"):
            return StreamingResponse(_stream(told), media_type="text/event-stream")
        message = {"role": "assistant", "content": told}
        return JSONResponse({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


async def _stream(told: str) -> AsyncIterator[str]:
    choice = {"index": 0, "delta": {"content": told}, "finish_reason": "stop"}
    yield f"data: {json.dumps({'choices': [choice]})}\n\ndata: [DONE]\n\n"
