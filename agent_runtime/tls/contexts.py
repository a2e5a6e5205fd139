"""TLS contexts that asyncio and httpx keep for good, and that take each new connection's settings from a `Renewal`."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from typing import Any

from agent_runtime.tls.material import Material, Renewal, client_context


class PortContext(ssl.SSLContext):
    """For the agent's port."""

    def __init__(self, _: int, renewal: Renewal) -> None:
        """The number is ssl.PROTOCOL_TLS_SERVER, which the base class takes when the object is made.

        `renewal` is of `server_context`.
        """
        self._renewal = renewal

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """As ssl.SSLContext."""
        return self._renewal.current().wrap_bio(*args, **options)


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
