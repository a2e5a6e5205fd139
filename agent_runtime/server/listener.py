"""Takes connections with TLS, and sees that clients which end no handshake keep nobody out."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

log = structlog.get_logger()

MOST_HANDSHAKES = 1000
"""Handshakes at a time. Each takes some 50 KiB, and anybody who reaches the port can begin one."""
HANDSHAKE_SECONDS = 5.0
"""How long one may take."""
_AT_ONCE = 64
"""Connections that are taken before anything else gets its turn."""
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE = 1.0
_HELLO_SECONDS = 60
"""How long the kernel keeps a connection on which nothing was sent; by its own count of answers it gives up earlier."""


class TLSListener:
    """Takes the place of asyncio's `Server`, which does not tell whose a handshake is, and ends none for another one.

    With as many handshakes as there may be, a new one takes the place of the oldest one of the address that has most.
    So clients that begin handshakes and do not end them take places from themselves.
    """

    def __init__(self, make: Callable[[], asyncio.Protocol], listener: socket.socket, context: ssl.SSLContext) -> None:
        self._make = make
        self._listener = listener
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun: dict[socket.socket, str] = {}
        """Addresses of handshakes; the oldest first."""
        self._of: Counter[str] = Counter()
        self._listening = True
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Takes no more connections. Handshakes that have begun go on."""
        if self._listening:
            self._listening = False
            self._loop.remove_reader(self._listener)
            self._listener.close()

    async def wait_closed(self) -> None:
        """Returns at once."""

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                log.warning("no connection can be taken", reason=str(error))
                self._loop.remove_reader(self._listener)
                self._loop.call_later(_PAUSE, self._listen_again)
                return
            self._begin(connection, str(address[0]))

    def _listen_again(self) -> None:
        if self._listening:
            self._loop.add_reader(self._listener, self._accept)

    def _begin(self, connection: socket.socket, address: str) -> None:
        if len(self._begun) >= MOST_HANDSHAKES:
            self._make_room()
        connection.setblocking(False)
        self._begun[connection] = address
        self._of[address] += 1
        task = self._loop.create_task(self._shake_hands(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shake_hands(self, connection: socket.socket) -> None:
        # One that fails is the client's affair.
        with suppress(OSError, TimeoutError):
            try:
                await self._loop.connect_accepted_socket(
                    self._make, connection, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_SECONDS
                )
            finally:
                self._forget(connection)

    def _make_room(self) -> None:
        greediest = max(self._of, key=self._of.__getitem__)
        oldest = next(connection for connection, address in self._begun.items() if address == greediest)
        self._forget(oldest)
        with suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)  # the loop sees the end of it, and closes it

    def _forget(self, connection: socket.socket) -> None:
        if (address := self._begun.pop(connection, None)) is not None:
            self._of[address] -= 1
            if not self._of[address]:
                del self._of[address]


def listen_with_tls(loop: asyncio.AbstractEventLoop) -> None:
    """Has servers with TLS that are given a socket listen by `TLSListener`: uvicorn has no setting for it."""
    usual: Callable[..., Awaitable[object]] = loop.create_server

    async def create_server(
        make: Callable[[], asyncio.Protocol],
        *,
        sock: socket.socket | None = None,
        ssl: ssl.SSLContext | None = None,
        backlog: int = 100,
        **more: object,
    ) -> object:
        if sock is None or ssl is None:
            return await usual(make, sock=sock, ssl=ssl, backlog=backlog, **more)
        sock.setblocking(False)
        # So that clients that say nothing hold no handshake: they begin TLS. Linux: tcp(7), TCP_DEFER_ACCEPT.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _HELLO_SECONDS)
        sock.listen(backlog)
        return TLSListener(make, sock, ssl)

    loop.create_server = create_server  # type: ignore[method-assign, assignment]
