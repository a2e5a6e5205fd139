"""What limits leave to a caller, as headers of the answer (draft-ietf-httpapi-ratelimit-headers)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

from agent_runtime.resilience.assembly import NOTES, Notes

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class TellRateLimits:
    """Adds the headers to answers of requests for which limits were checked, be they allowed or refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        notes = Notes()

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start" and notes.result is not None:
                headers = MutableHeaders(scope=message)
                for name, value in notes.result.headers.items():
                    headers[name] = value
            await send(message)

        mark = NOTES.set(notes)
        try:
            await self._app(scope, receive, tell)
        finally:
            NOTES.reset(mark)
