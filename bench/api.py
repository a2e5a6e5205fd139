"""A lean client of the API server for load: it must cost little beside what it measures.

Requests are bytes over kept-alive HTTP/1.1. Answers and watches are asked for as metadata in protobuf, which the API
server writes with less work than JSON, and are searched for names instead of being parsed.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit

import yaml

_METADATA = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_LENGTH_BYTES = 4
_ADDED_OR_MODIFIED = (b"\x0a\x05ADDED", b"\x0a\x08MODIFIED")
"""How a metav1.WatchEvent begins in protobuf: field 1, its length, its text."""


@dataclass(frozen=True)
class Api:
    """An API server, and a token to prove who asks."""

    url: str
    context: ssl.SSLContext
    token: str

    @classmethod
    def read(cls, kubeconfig: Path) -> Self:
        """Take both from a kubeconfig with a token."""
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        return cls(cluster["server"], context, config["users"][0]["user"]["token"])

    def request(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> bytes:
        """A request that is answered with an object's metadata."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {urlsplit(self.url).netloc}\r\nAuthorization: Bearer {self.token}\r\n"
            f"Accept: {_METADATA}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def connect(self) -> Connection:
        """Open a connection."""
        url = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=self.context)
        return Connection(reader, writer)

    async def watch(self, path: str, selector: str, seen: Callable[[bytes, float], None]) -> None:
        """Tell of every object that is made or changed from now on: its metadata in protobuf, and when it was heard of.

        Raises:
            SystemExit: the watch ended.
        """
        connection = await self.connect()
        buffer = b""
        async for chunk in connection.stream(self.request("GET", f"{path}?watch=true&labelSelector={quote(selector)}")):
            now = time.monotonic()
            buffer += chunk
            while len(buffer) >= (end := _LENGTH_BYTES + int.from_bytes(buffer[:_LENGTH_BYTES])):
                event, buffer = buffer[_LENGTH_BYTES:end], buffer[end:]
                if event.startswith(_ADDED_OR_MODIFIED):
                    seen(event, now)
        raise SystemExit(f"the watch of {path} ended")


@dataclass(frozen=True)
class Connection:
    """A kept-alive connection: one request after the other."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def call(self, request: bytes) -> None:
        """Send a request and read its answer.

        Raises:
            SystemExit: the answer is an error.
        """
        async for _ in self.stream(request):
            pass

    async def stream(self, request: bytes) -> AsyncIterator[bytes]:
        """Send a request and hand out the body of its answer as it comes.

        Raises:
            SystemExit: the answer is an error.
        """
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        if b"\r\ntransfer-encoding: chunked" in head:
            body = self._chunks()
        else:
            body = self._whole(int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]))
        status = int(head[9:12])
        if status >= 400:  # noqa: PLR2004  the first error status
            told = b"".join([part async for part in body])
            raise SystemExit(f"{request.partition(b' HTTP')[0].decode()}: {status} {told.decode(errors='replace')}")
        async for part in body:
            yield part

    async def _whole(self, length: int) -> AsyncIterator[bytes]:
        yield await self.reader.readexactly(length)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while length := int((await self.reader.readuntil(b"\r\n"))[:-2], 16):
            yield (await self.reader.readexactly(length + 2))[:-2]
        await self.reader.readexactly(2)


async def until(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a state that watches bring about.

    Raises:
        SystemExit: it did not come within the time.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {seconds:g} s")
        await asyncio.sleep(0.05)
