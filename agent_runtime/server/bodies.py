"""Bodies as plain data, which may take twenty times the room of their JSON."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from agent_runtime.errors import TooManyRequestsError
from agent_runtime.plain import weight

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from agent_runtime.auth.principal import Principal

HELD_BYTES = 64 << 20
"""Of all bodies whose answers have not begun, as plain data. One caller may have half of them."""
_HOLD = "hold_body"
"""Key in the state of a scope: counts a body for its request."""


class HoldBodies:
    """Refuses bodies that would fill the pod's memory together with those that are being worked on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._held: Counter[str] = Counter()
        """By owner."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; what was counted for it is free when its answer begins."""
        principal: Principal | None = scope.get("state", {}).get("principal")
        if scope["type"] != "http" or principal is None:
            await self._app(scope, receive, send)
            return
        owner, mine = principal.owner, 0

        def hold(size: int) -> None:
            nonlocal mine
            self._check(owner, size)
            self._held[owner] += size
            mine += size

        def release() -> None:
            nonlocal mine
            self._held[owner] -= mine
            mine = 0
            if not self._held[owner]:
                del self._held[owner]

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                release()
            await send(message)

        scope["state"][_HOLD] = hold
        try:
            await self._app(scope, receive, note)
        finally:
            release()

    def _check(self, owner: str, size: int) -> None:
        if self._held[owner] and self._held[owner] + size > HELD_BYTES // 2:
            message = "your other requests have bodies as large as one caller may have at a time: wait for an answer"
            raise TooManyRequestsError(message, retry_after=1)
        if self._held and self._held.total() + size > HELD_BYTES:
            message = "the pod works on as many large requests as it can hold: try again"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, message, {"retry-after": "1"})


def hold(request: Request, body: Any) -> None:
    """Counts a body as long as its request has no answer.

    Raises:
        TooManyRequestsError: The caller's bodies take too much.
        HTTPException: 503, all callers' do.
    """
    count: Callable[[int], None] = getattr(request.state, _HOLD)
    count(weight(body))
