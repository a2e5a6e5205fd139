"""The server's connections, with who is at their other end."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

from agent_runtime.tls.contexts import uri_of

if TYPE_CHECKING:
    import asyncio

PEER = "apm_peer"
"""Key of the `Peer` in the state of a scope; only there on connections with TLS."""


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
    """Puts the `Peer` into the state of each request's scope.

    Read from the connection, since uvicorn has no TLS extension of ASGI.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio.Protocol."""
        super().connection_made(transport)
        found = transport.get_extra_info("ssl_object")
        if found is not None:
            certificate = found.getpeercert()
            ends = ssl.cert_time_to_seconds(str(certificate["notAfter"])) if certificate else None
            self.app_state = {**self.app_state, PEER: Peer(uri_of(certificate), ends, found.context)}

    def shutdown(self) -> None:
        """Ends the connection when the server ends. asyncio would wait 30 s for a client that says nothing."""
        super().shutdown()
        if self.transport.is_closing():
            self.loop.call_later(_GOODBYE, self.transport.abort)
