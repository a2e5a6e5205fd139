"""How much of clients' requests is taken in at a time, and for how long."""

from __future__ import annotations

import asyncio
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from agent_runtime.server.problems import problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from agent_runtime.auth.principal import Principal

BODY_SECONDS = 20.0
"""How long a client may take to send a body, however fast its pieces come."""
BUFFERED_BYTES = 64 << 20
"""Bytes of all bodies that are being read; one body alone has a limit of its own."""

_ALONE = 0.9
"""The part of the requests at a time that one caller may have where nobody else has any; the rest lets others in."""
_AMONG_OTHERS = 0.5

_PROBES = frozenset({"/livez", "/readyz"})


class Intake:
    """Reads bodies, within limits of size, of time and of all of them together."""

    def __init__(self, max_body_bytes: int) -> None:
        self._largest = max_body_bytes
        self._held = 0

    async def read(self, chunks: AsyncIterator[bytes]) -> bytes:
        """A whole body.

        Raises:
            HTTPException: 413, it is too large; 408, it takes too long; 503, too much is being read at this moment.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in chunks:
                    body += chunk
                    self._held += len(chunk)
                    self._check(len(body))
        except TimeoutError:
            message = f"the body was not sent within {BODY_SECONDS:g} s"
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, message, {"connection": "close"}) from None
        finally:
            self._held -= len(body)
        return bytes(body)

    def _check(self, size: int) -> None:
        if size > self._largest:
            message = f"the body is larger than {self._largest} bytes"
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, {"connection": "close"})
        if self._held > BUFFERED_BYTES:
            message = "the pod is reading as many requests as it can hold: try again"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, message, {"retry-after": "1", "connection": "close"})


class RefuseOverload:
    """Answers 503 to more requests at a time than a pod can serve. Probes are always let through.

    Without that, a flood of requests would look like a dead pod, which is then killed with all that it serves.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        if self._open >= self._most:
            detail = f"the pod serves {self._most} requests already: try again"
            refusal = problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"retry-after": "1"})
            await refusal(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1


class ShareRequests:
    """Answers 429 to a caller who has more than a share of the requests that a pod can serve at a time.

    Requests that wait for runs stay open for long, so that one caller could take all places and keep the others out.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        principal: Principal | None = scope.get("state", {}).get("principal")
        if scope["type"] != "http" or principal is None:
            await self._app(scope, receive, send)
            return
        owner = principal.owner
        share = max(1, int(self._most * (_AMONG_OTHERS if self._open.keys() - {owner} else _ALONE)))
        if self._open[owner] >= share:
            detail = f"{share} of your requests are being answered, which is the most for one caller now: try again"
            refusal = problem(HTTPStatus.TOO_MANY_REQUESTS, detail, {"retry-after": "1"})
            await refusal(scope, receive, send)
            return
        self._open[owner] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]
