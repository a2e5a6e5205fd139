"""Lists as answers. Their items may have a megabyte each, so they are read some at a time, and few lists at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from agent_runtime.errors import InputError, TooManyRequestsError
from agent_runtime.runs.encode import dumps

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

T = TypeVar("T")

log = structlog.get_logger()

LARGEST = 32 << 20
"""Bytes of one list."""
_HELD = 64 << 20
"""Bytes of all large lists that wait for their clients to take them. One caller may have half of them."""
_SMALL = 256 << 10
"""Bytes of a list that does not count."""
_AT_ONCE = 4
"""Lists that are made at a time; more wait."""
_SECONDS = 60.0
"""How long a client may take to read a large list."""
_CHUNK = 64 << 10


class Lists:
    """Makes lists, and holds the large ones until their clients have them."""

    def __init__(self) -> None:
        self._making = asyncio.Semaphore(_AT_ONCE)
        self._held: Counter[str] = Counter()
        """Bytes by owner."""

    async def answer(self, items: AsyncIterator[Any], owner: str, member: str | None = None) -> Response:
        """A JSON array of a caller's; or an object that has it as its one member.

        Raises:
            InputError: It would be larger than what a pod holds for one answer.
            TooManyRequestsError: The caller takes too many large ones at the same time.
            HTTPException: 503, all callers together do.
        """
        begin, end = (b"[", b"]") if member is None else (b'{"%b":[' % member.encode(), b"]}")
        async with self._making:
            body = begin + b",".join(await _made(items)) + end
        size = len(body)
        if size <= _SMALL:
            return Response(body, media_type="application/json")
        if self._held[owner] and self._held[owner] + size > _HELD // 2:
            raise TooManyRequestsError(
                "you are being sent as much as one caller may have: read it first", retry_after=1
            )
        if self._held.total() + size > _HELD:
            message = "the pod is sending as many large answers as it can hold: try again"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, message, {"retry-after": "1"})
        self._held[owner] += size
        return _LargeResponse(body, lambda: self._release(owner, size))

    def _release(self, owner: str, size: int) -> None:
        self._held[owner] -= size
        if not self._held[owner]:
            del self._held[owner]


class _LargeResponse(StreamingResponse):
    """Sent in pieces as the client reads them: what is written at once lies in the connection until it is read."""

    def __init__(self, body: bytes, release: Callable[[], None]) -> None:
        super().__init__(_pieces(body), headers={"content-length": str(len(body))}, media_type="application/json")
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it, and cuts off a client that does not read."""
        try:
            async with asyncio.timeout(_SECONDS):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            log.warning("a client that does not read was cut off", seconds=_SECONDS)
        finally:
            self._release()


async def paged(
    read: Callable[[int, int], Awaitable[Sequence[T]]], limit: int, offset: int, page: int
) -> AsyncIterator[T]:
    """What `read` finds by limit and offset, a page at a time; what moves on meanwhile may be missing."""
    while limit > 0:
        asked = min(limit, page)
        found = await read(asked, offset)
        for one in found:
            yield one
        if len(found) < asked:
            return
        limit, offset = limit - asked, offset + asked


async def _made(items: AsyncIterator[Any]) -> list[bytes]:
    parts: list[bytes] = []
    size = 0
    async for item in items:
        part = dumps(item)
        size += len(part)
        if size > LARGEST:
            raise InputError(f"the answer has more than {LARGEST >> 20} MiB: ask for fewer with `limit`")
        parts.append(part)
    return parts


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(body), _CHUNK):
        yield body[begin : begin + _CHUNK]
