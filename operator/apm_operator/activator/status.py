"""What KEDA, Prometheus and the kubelet ask: a few GETs, and nothing else of HTTP."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from apm_operator.activator.counts import Counts
from apm_operator.activator.settings import ANYWHERE

PATH = "/connections"
VALUE = "connections"
_REQUEST_BYTES = 8 * 1024
_SECONDS = 5.0
_MOST = 32
_END = b"\r\n\r\n"


class Status:
    """Answers one request for each connection."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._now = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer, within a few seconds; what comes beyond a number of connections is not heard."""
        self._now += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(_SECONDS):
                    if self._now <= _MOST:
                        writer.write(self._answer(await reader.readuntil(_END)))
                        await writer.drain()
                        writer.close()
                        await writer.wait_closed()
        finally:
            self._now -= 1
            writer.transport.abort()

    def _answer(self, request: bytes) -> bytes:
        method, path, *_ = [*request.split(b"\r\n", 1)[0].split(b" "), b""]
        if method != b"GET":
            return _response("405 Method Not Allowed", "text/plain", "only GET\n")
        match path:
            case b"/livez" | b"/readyz":
                return _response("200 OK", "text/plain", "ok\n")
            case b"/metrics":
                return _response("200 OK", "text/plain; version=0.0.4; charset=utf-8", self._counts.exposition())
            case _ if path.decode("latin-1") == PATH:
                return _response("200 OK", "application/json", json.dumps({VALUE: self._counts.wanted()}))
        return _response("404 Not Found", "text/plain", "no such page\n")


async def listen(counts: Counts, port: int) -> asyncio.Server:
    """Serve the status on a port."""
    return await asyncio.start_server(Status(counts).serve, ANYWHERE, port, limit=_REQUEST_BYTES)


def _response(status: str, kind: str, body: str) -> bytes:
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    return head.encode() + content
