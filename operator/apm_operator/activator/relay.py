"""One connection: its first bytes, its wait for a pod, and its bytes in both directions until it ends.

Whatever the connection says is passed on as it is: TLS is between the client and the agent.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

from apm_operator.activator.counts import Counts
from apm_operator.activator.settings import Settings
from apm_operator.activator.upstream import CHUNK, Stream, Upstream

_HELD_BYTES = 64 * 1024
"""What a client may say before it is answered: more than a TLS handshake begins with."""
_AFTER_SECONDS = 30.0
"""How long a client has to close its side when the agent has closed its own."""
_AT_ONCE = struct.pack("ii", 1, 0)
"""With no time to send what is left, a socket's end is a reset."""
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 3))
"""By which a peer that is gone without a word is noticed."""


class _Ended(Exception):
    """A connection is not to go on."""


class Relay:
    """Passes connections to the agent's pods."""

    def __init__(self, upstream: Upstream, counts: Counts, settings: Settings) -> None:
        self._upstream = upstream
        self._counts = counts
        self._settings = settings

    async def serve(self, client: Stream) -> None:
        """See a connection through to its end."""
        try:
            _prepare(client.writer)
            held = bytearray(await self._first(client.reader))
            with self._counts.waiting():
                pod = await self._upstream.dial() or await self._wait(client.reader, held)
            try:
                _prepare(pod.writer)
                pod.writer.write(bytes(held))
                held.clear()
                with self._counts.open():
                    await self._both(client, pod)
            except (_Ended, asyncio.CancelledError):
                _reset(pod.writer)
                raise
            finally:
                await _close(pod.writer)
        except (_Ended, OSError):
            _reset(client.writer)
        except asyncio.CancelledError:
            _reset(client.writer)
            raise
        finally:
            await _close(client.writer)

    async def _first(self, reader: asyncio.StreamReader) -> bytes:
        """What a client says first. Who says nothing, such as a port scan or a load balancer's probe, wakes nobody."""
        try:
            async with asyncio.timeout(self._settings.first):
                first = await reader.read(CHUNK)
        except TimeoutError:
            first = b""
        if not first:
            self._counts.ended("silent")
            raise _Ended
        return first

    async def _wait(self, reader: asyncio.StreamReader, held: bytearray) -> Stream:
        """Hold the connection until there is a pod."""
        looks = asyncio.create_task(self._upstream.awake())
        listens = asyncio.create_task(_listen(reader, held))
        try:
            await asyncio.wait((looks, listens), timeout=self._settings.hold, return_when=asyncio.FIRST_COMPLETED)
        finally:
            looks.cancel()
            listens.cancel()
            await asyncio.gather(looks, listens, return_exceptions=True)
        pod = None if looks.cancelled() else looks.result()
        left = not listens.cancelled()
        if pod is None or left:
            if pod is not None:
                _reset(pod.writer)
            self._counts.ended("gone" if left else "late")
            raise _Ended
        self._counts.woken()
        return pod

    async def _both(self, client: Stream, pod: Stream) -> None:
        """Pass bytes on in both directions until both have ended, or nothing has come for too long."""
        loop = asyncio.get_running_loop()
        longest = self._settings.idle

        async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(CHUNK):
                if not idle.expired():
                    idle.reschedule(loop.time() + longest)
                writer.write(data)
                await writer.drain()
            writer.write_eof()

        async def back() -> None:
            nonlocal longest
            await one(pod.reader, client.writer)
            longest = min(longest, _AFTER_SECONDS)
            if not idle.expired():
                idle.reschedule(loop.time() + longest)

        broken = False
        try:
            async with asyncio.timeout(longest) as idle:
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(one(client.reader, pod.writer))
                        group.create_task(back())
                except* OSError:
                    broken = True  # by one side: so it does to the other
        except TimeoutError:
            self._counts.ended("idle")
            broken = True
        if broken:
            raise _Ended


async def _listen(reader: asyncio.StreamReader, held: bytearray) -> None:
    """Take in what a client that waits says, within bounds, and return when it has left."""
    with suppress(ConnectionError):
        while len(held) < _HELD_BYTES:
            data = await reader.read(_HELD_BYTES - len(held))
            if not data:
                return
            held += data
        await asyncio.get_running_loop().create_future()  # what it says beyond that waits in its own system


def _prepare(writer: asyncio.StreamWriter) -> None:
    writer.transport.set_write_buffer_limits(high=CHUNK)
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off, so that the other side does not take what it has for all."""
    with suppress(OSError):  # it is closed already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close it when what is left has been sent, or soon."""
    writer.close()
    try:
        async with asyncio.timeout(_AFTER_SECONDS):
            await writer.wait_closed()
    except OSError:
        _reset(writer)
