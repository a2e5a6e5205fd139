"""Answers that last as long as the run they tell of."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from starlette.types import Receive, Scope, Send

log = structlog.get_logger()

_KEEP_ALIVE = 15.0
"""Seconds without an event after which a comment is sent, so that no proxy closes the stream."""
_GRACE = 5.0
"""Seconds beyond its limit that an answer gets to say that it ends; a client that does not read is then cut off."""


class FollowingResponse(StreamingResponse):
    """Tells apart an answer that is complete, a client that went away, and one that stopped to read.

    `limit` is in seconds, and kept by the content itself. `on_gone` is called where the client went away.
    """

    def __init__(
        self,
        content: AsyncIterator[bytes],
        *,
        limit: float,
        on_gone: Callable[[], None] | None,
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self._limit = limit
        self._on_gone = on_gone
        self._complete = False

    async def stream_response(self, send: Send) -> None:
        """Sends all of it."""
        await super().stream_response(send)
        self._complete = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends until the end, the limit, or the client's leaving; a server that shuts down cancels it instead."""
        try:
            async with asyncio.timeout(self._limit + _GRACE):
                await super().__call__(scope, receive, send)
        except ClientDisconnect:
            pass
        except TimeoutError:
            log.warning("a client that does not read was cut off", seconds=self._limit + _GRACE)
            return
        if not self._complete and self._on_gone is not None:
            self._on_gone()


async def with_pauses(events: AsyncIterator[Any], limit: float) -> AsyncIterator[Any]:
    """The events, and None where none came for a while; raises TimeoutError after `limit` seconds."""
    end = time.monotonic() + limit
    pending = asyncio.ensure_future(anext(events, StopAsyncIteration))
    try:
        while (left := end - time.monotonic()) > 0:
            done, _ = await asyncio.wait({pending}, timeout=min(_KEEP_ALIVE, left))
            if not done:
                yield None
                continue
            event = pending.result()
            if event is StopAsyncIteration:
                return
            yield event
            pending = asyncio.ensure_future(anext(events, StopAsyncIteration))
        raise TimeoutError
    finally:
        pending.cancel()


async def merged(streams: Sequence[AsyncIterator[Any]]) -> AsyncIterator[Any]:
    """What comes from each of some streams, as it comes, until one of them ends."""
    if len(streams) == 1:
        async for event in streams[0]:
            yield event
        return
    pending = {asyncio.ensure_future(anext(stream, StopAsyncIteration)): stream for stream in streams}
    try:
        while True:
            done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                stream = pending.pop(task)
                event = task.result()
                if event is StopAsyncIteration:
                    return
                yield event
                pending[asyncio.ensure_future(anext(stream, StopAsyncIteration))] = stream
    finally:
        for task in pending:
            task.cancel()
