"""TLS contexts that asyncio and httpx keep for good, and that take each new connection's settings from a `Renewal`."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agent_runtime.tls.material import Material, Renewal, client_context, server_context

MOST_HANDSHAKES = 1000
"""Handshakes at a time. Each takes some 50 KiB, and anybody who reaches the port can begin one."""
HANDSHAKE_SECONDS = 5.0
"""How long one may take, if whoever listens hands this to asyncio."""


_HELLO_SECONDS = 60
"""How long the kernel keeps a connection on which nothing was sent; by its own count of answers it gives up earlier."""


def await_hello(listener: socket.socket) -> None:
    """Have the kernel keep connections to itself until their client has sent something: it begins TLS.

    So clients that say nothing hold no handshake, and keep nobody out. Linux: tcp(7), TCP_DEFER_ACCEPT.
    """
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _HELLO_SECONDS)


class PortContext(ssl.SSLContext):
    """For the agent's port."""

    def __init__(self, _: int, renewal: Renewal) -> None:
        """The number is ssl.PROTOCOL_TLS_SERVER, which the base class takes when the object is made.

        `renewal` is of `port_context`.
        """
        self._renewal = renewal
        self._begun: dict[object, float] = {}

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """As ssl.SSLContext; the handshake fails where too many others have begun and not ended."""
        now = time.monotonic()
        # A client that goes away in the middle is not told of here.
        while self._begun and now - next(iter(self._begun.values())) > HANDSHAKE_SECONDS:
            del self._begun[next(iter(self._begun))]
        made = self._renewal.current().wrap_bio(*args, **options)
        if not isinstance(made, _PortConnection):
            raise TypeError("the renewal is not of `port_context`")
        if len(self._begun) >= MOST_HANDSHAKES:
            made.refused = True
            return made
        mark = object()
        self._begun[mark] = now
        made.ended = lambda: self._begun.pop(mark, None)
        return made


class _PortConnection(ssl.SSLObject):
    """A connection that tells when its handshake has ended, well or not.

    One that is `refused` fails at its handshake: event loops close it for that, and would leave it open if it had not
    come about.
    """

    ended: Callable[[], object]
    refused = False

    def do_handshake(self) -> None:
        if self.refused:
            raise ssl.SSLError(1, "too many handshakes at a time")
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            self.ended()
            raise
        self.ended()


def port_context(material: Material) -> ssl.SSLContext:
    """What a `Renewal` for `PortContext` makes."""
    context = server_context(material)
    context.sslobject_class = _PortConnection
    return context


class PeerContext(ssl.SSLContext):
    """For calls to one other service of the cluster, whose certificate has to name `uri` beside the host."""

    def __init__(self, _: int, renewal: Renewal, uri: str) -> None:
        """The number is ssl.PROTOCOL_TLS_CLIENT, see `PortContext`; `renewal` is of `peer_context`."""
        self._renewal = renewal
        self._uri = uri

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Does nothing: `peer_context` sets them, and httpx asks anew for each connection."""

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """As ssl.SSLContext."""
        made = self._renewal.current().wrap_bio(*args, **options)
        if not isinstance(made, _PeerConnection):
            raise TypeError("the renewal is not of `peer_context`")
        made.uri = self._uri
        return made


class _PeerConnection(ssl.SSLObject):
    """A connection that is given up before anything is sent, unless the other side is who it should be."""

    uri = ""

    def do_handshake(self) -> None:
        super().do_handshake()
        found = uri_of(self.getpeercert())
        if found != self.uri:
            raise ssl.SSLCertVerificationError(1, f"the certificate is of {found or 'nobody'}, not of {self.uri}")


def peer_context(material: Material) -> ssl.SSLContext:
    """What a `Renewal` for `PeerContext` makes."""
    context = client_context(material)
    context.sslobject_class = _PeerConnection
    return context


def uri_of(certificate: Mapping[str, Any] | None) -> str | None:
    """The URI that a certificate, as `getpeercert` gives it, names; None for none or several."""
    names = [value for kind, value in (certificate or {}).get("subjectAltName", ()) if kind == "URI"]
    return names[0] if len(names) == 1 else None
