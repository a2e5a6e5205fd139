"""Addresses that answer the pods of the bare cluster and nobody else, in place of a metadata service or the internet.

The machine takes what pods send to such an address for its own, by a routing rule for their bridge alone. Whatever else
the machine itself may find at that address stays where it is.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread

from cluster.machine import run
from cluster.network import BRIDGE

PORT = 8098
_TABLE = "9214"
_IP_TRANSPARENT = 19
"""Lets a socket have an address that is none of the machine's; see ip(7)."""


@contextmanager
def answering(*addresses: str) -> Iterator[None]:
    """Accept connections to `PORT` of these addresses for as long as the context lasts."""
    with ExitStack() as stack:
        for address in addresses:
            rule = ["iif", BRIDGE, "to", address, "lookup", _TABLE]
            run(["ip", "rule", "add", *rule])
            stack.callback(run, ["ip", "rule", "delete", *rule])
            route = ["local", address, "dev", BRIDGE, "table", _TABLE]
            run(["ip", "route", "add", *route])
            stack.callback(run, ["ip", "route", "delete", *route])
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, 1)
            listener.bind((address, PORT))
            listener.listen()
            thread = Thread(target=_accept, args=(listener,))
            thread.start()
            stack.callback(thread.join, 5)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
        yield


def _accept(listener: socket.socket) -> None:
    with suppress(OSError):  # it was shut down
        while True:
            connection, _ = listener.accept()
            connection.close()
