"""A listening socket on which no single address can hold all connections."""

from __future__ import annotations

import socket
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

MOST_OF_ADDRESS = 64
"""Connections at a time from one address; an agent's pod needs a few."""
_HELLO_SECONDS = 60
"""How long the kernel keeps a connection on which nothing was sent; by its own count of answers it gives up earlier."""


class Listener(socket.socket):
    """For asyncio, which accepts by this method."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._held: Counter[str] = Counter()

    def accept(self) -> tuple[socket.socket, Any]:
        """As socket.socket; closes a connection whose address has too many.

        Raises:
            ConnectionAbortedError: it was closed; asyncio goes on with the next one.
        """
        connection, address = super().accept()
        host = str(address[0])
        if self._held[host] >= MOST_OF_ADDRESS:
            connection.close()
            raise ConnectionAbortedError(f"{host} has {MOST_OF_ADDRESS} connections already")
        self._held[host] += 1
        made = _Connection(fileno=connection.detach())
        made.left = weakref.finalize(made, self._left, host)
        return made, address

    def _left(self, host: str) -> None:
        self._held[host] -= 1
        if not self._held[host]:
            del self._held[host]


class _Connection(socket.socket):
    """Counts until it is closed, for it may live longer: exceptions of a handshake that failed hold it in a cycle."""

    left: Callable[[], object]

    def close(self) -> None:
        """As socket.socket."""
        super().close()
        self.left()


def listen(host: str, port: int) -> Listener:
    """Listen for TLS; port 0 takes a free one.

    A client that says nothing stays with the kernel: it holds no handshake. Linux: tcp(7), TCP_DEFER_ACCEPT.

    Raises:
        OSError: the address is taken, or none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = Listener(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _HELLO_SECONDS)
        made.setblocking(False)
        made.bind((host, port))
        made.listen(128)
    except OSError:
        made.close()
        raise
    return made
