"""Requests whose end two servers could see in different places."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from agent_runtime.server.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_LENGTH, _ENCODING = b"content-length", b"transfer-encoding"


class RefuseAmbiguous:
    """Answers 400 to a request with two lengths, or with an encoding that its version does not have.

    A proxy that reads the other length takes what is left for the next request, of another caller. RFC 9112, 6.1.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        names = {name for name, _ in scope.get("headers", ())}
        if scope["type"] != "http" or _ENCODING not in names:
            await self._app(scope, receive, send)
            return
        if _LENGTH in names:
            detail = "the request has Content-Length and Transfer-Encoding: send one of them"
        elif scope["http_version"] == "1.0":
            detail = "HTTP/1.0 has no Transfer-Encoding: send Content-Length, or HTTP/1.1"
        else:
            await self._app(scope, receive, send)
            return
        await problem(HTTPStatus.BAD_REQUEST, detail, {"connection": "close"})(scope, receive, send)
