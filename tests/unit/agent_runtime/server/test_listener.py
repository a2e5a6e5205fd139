"""Clients that begin handshakes and do not end them, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvloop

from agent_runtime.server import listener
from agent_runtime.server.listener import listen_with_tls
from fakes.agents import CHAT, ECHO, running
from fakes.authority import Authority, client_context, pod

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SPEC = {"models": [ECHO], "workflow": CHAT}
ATTACKER = ("127.0.0.2", 0)


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[tuple[str, int, ssl.SSLContext]]:
    authority = Authority()
    async with running(SPEC, mounts=pod(folder / "pod", authority, "tested")) as it:
        address = httpx.URL(it.url)
        yield address.host, address.port or 0, client_context(authority, folder)


async def _alive(host: str, port: int, context: ssl.SSLContext) -> bool:
    async with httpx.AsyncClient(verify=context, timeout=4) as http:
        return (await http.get(f"https://{host}:{port}/livez")).status_code == 200


async def _begun(host: str, port: int, said: bytes = b"\x16") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(host, port, local_addr=ATTACKER)
    writer.write(said)
    return reader, writer


async def _ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


async def test_clients_that_say_nothing_keep_nobody_out(monkeypatch, tmp_path):
    monkeypatch.setattr(listener, "MOST_HANDSHAKES", 3)
    async with _served(tmp_path) as (host, port, context):
        silent = [await _begun(host, port, b"") for _ in range(20)]
        assert await _alive(host, port, context)
        for _, writer in silent:
            writer.close()


async def test_handshakes_that_do_not_end_take_places_from_their_own_address(monkeypatch, tmp_path):
    monkeypatch.setattr(listener, "MOST_HANDSHAKES", 5)
    monkeypatch.setattr(listener, "HANDSHAKE_SECONDS", 60.0)
    async with _served(tmp_path) as (host, port, context):
        slow_reader, slow = await asyncio.open_connection(host, port)
        slow.write(b"\x16")  # a client that takes its time
        held = []
        for _ in range(30):
            held.append(await _begun(host, port))
            await asyncio.sleep(0.01)  # so that they come in this order
        assert await _alive(host, port, context)
        async with asyncio.timeout(5):
            await asyncio.gather(*(_ended(*one) for one in held[:25]))
        assert not any(reader.at_eof() for reader, _ in held[27:])
        assert not slow_reader.at_eof()
        for _, writer in (*held, (slow_reader, slow)):
            writer.close()


async def test_a_handshake_has_its_time(monkeypatch, tmp_path):
    monkeypatch.setattr(listener, "HANDSHAKE_SECONDS", 0.2)
    async with _served(tmp_path) as (host, port, context), asyncio.timeout(5):
        await _ended(*await _begun(host, port))
        assert await _alive(host, port, context)


async def test_a_server_that_has_no_more_descriptors_takes_connections_later(monkeypatch, tmp_path):
    monkeypatch.setattr(listener, "_PAUSE", 0.1)
    taken, accept = [], socket.socket.accept

    def full_at_first(of: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
        taken.append(of)
        if len(taken) < 3:
            raise OSError(24, "Too many open files")
        return accept(of)

    async with _served(tmp_path) as (host, port, context):
        monkeypatch.setattr(socket.socket, "accept", full_at_first)
        assert await _alive(host, port, context)


def test_the_loop_of_the_pods_does_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(listener, "MOST_HANDSHAKES", 3)
    authority = Authority()
    mounts = pod(tmp_path / "pod", authority, "tested")

    class Told(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:  # uvloop's are of classes of their own
            transport.write(str(transport.get_extra_info("peername")[0]).encode())
            transport.close()

    async def ask() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(mounts.tls / "tls.crt", mounts.tls / "tls.key")
        loop = asyncio.get_running_loop()
        listen_with_tls(loop)
        sock = socket.create_server(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        server = await loop.create_server(Told, sock=sock, ssl=context)
        held = [await _begun("127.0.0.1", port) for _ in range(30)]
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(authority, tmp_path))
            assert await reader.read() == b"127.0.0.1"
            writer.close()
            await asyncio.gather(*(_ended(*one) for one in held[:27]))
        for _, writer in held[27:]:
            writer.close()
        server.close()
        await server.wait_closed()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())
