"""The server's connections, with who is at their other end."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

from agent_runtime.server.lingering import LingeringTransport
from agent_runtime.tls.contexts import uri_of

if TYPE_CHECKING:
    import asyncio

PEER = "apm_peer"
"""Key of the `Peer` in the state of a scope; only there on connections with TLS."""


HEAD_SECONDS = 10.0
"""How long a client may take to begin a request: from the connection, or the last answer, to the end of the head."""
MOST = 1200
"""Connections at a time. More than requests at a time, so that there is an idle one to end for a new one."""
_GOODBYE = 1.0
"""Seconds that an idle client has to end its side of a TLS connection when the server ends."""


@dataclass(frozen=True)
class Peer:
    """The other end of a TLS connection.

    Attributes:
        uri: what its certificate names; None if it showed none.
        ends: when its certificate ends, in seconds since 1970; None if it showed none.
        context: what the connection began with.
    """

    uri: str | None
    ends: float | None
    context: ssl.SSLContext


class PeerProtocol(H11Protocol):
    """Puts the `Peer` into the state of each request's scope, and ends connections that only hold a place.

    Read from the connection, since uvicorn has no TLS extension of ASGI. And uvicorn lets a client take for ever to
    send a head, or a body that nobody reads any more.
    """

    _patience: asyncio.TimerHandle | None = None
    _lingering: LingeringTransport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio.Protocol."""
        super().connection_made(transport)
        self._lingering = LingeringTransport(transport, self.loop, self._body_comes)
        self.transport = self._lingering  # type: ignore[assignment] # has all that it does not do itself
        self._await_head()
        if len(self.connections) > MOST:
            self._make_room()
        found = transport.get_extra_info("ssl_object")
        if found is not None:
            certificate = found.getpeercert()
            ends = ssl.cert_time_to_seconds(str(certificate["notAfter"])) if certificate else None
            if ends is not None and ends <= time.time():
                # OpenSSL resumes sessions of TLS 1.2 without another look at the certificate.
                transport.abort()
            self.app_state = {**self.app_state, PEER: Peer(uri_of(certificate), ends, found.context)}

    def shutdown(self) -> None:
        """Ends the connection when the server ends. asyncio would wait 30 s for a client that says nothing."""
        super().shutdown()
        if self.transport.is_closing():
            self.loop.call_later(_GOODBYE, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio.Protocol."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As asyncio.Protocol."""
        if self._lingering.lingers:
            return
        super().data_received(data)
        if not self._idle:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Called by uvicorn after each answer."""
        super().on_response_complete()
        if self._idle and not self.transport.is_closing():
            self._await_head()

    @property
    def idle_until(self) -> float | None:
        """When the connection is given up, by the loop's clock; None while a request is served."""
        return self._patience.when() if self._patience else None

    @property
    def _idle(self) -> bool:
        """Whether no request is being served."""
        return self.cycle is None or self.cycle.response_complete

    def _body_comes(self) -> bool:
        """Whether the client has not sent all of a body of which nothing more is wanted."""
        return self.cycle is not None and self.cycle.response_complete and self.cycle.more_body

    def _await_head(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self.transport.close()
        self.loop.call_later(_GOODBYE, self.transport.abort)

    def _make_room(self) -> None:
        """Ends the connection that has been idle longest; where all are busy, this one."""
        idle = [other for other in self.connections if isinstance(other, PeerProtocol) and other.idle_until is not None]
        min(idle, key=lambda other: other.idle_until or 0.0, default=self).transport.abort()
