"""Who is at the other end of a connection, by the URI in its certificate."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any


class PeerContext(ssl.SSLContext):
    """For connections to a server whose certificate has to name `uri` beside the host."""

    def __init__(self, _: int, uri: str, authorities: str) -> None:
        """The number is ssl.PROTOCOL_TLS_CLIENT, which the base class takes when the object is made.

        Args:
            uri: what the certificate has to name, and nothing else.
            authorities: who may have signed it, PEM.

        Raises:
            ssl.SSLError: `authorities` holds no certificates.
        """
        self._uri = uri
        self.minimum_version = ssl.TLSVersion.TLSv1_2
        # The authority that is known may be one that another one signed.
        self.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self.load_verify_locations(cadata=authorities)
        self.sslobject_class = _Connection

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """As ssl.SSLContext."""
        made = super().wrap_bio(*args, **options)
        if isinstance(made, _Connection):
            made.uri = self._uri
        return made


class _Connection(ssl.SSLObject):
    """A connection that is given up before anything is sent, unless the other side is who it should be."""

    uri = ""

    def do_handshake(self) -> None:
        super().do_handshake()
        found = uri_of(self.getpeercert())
        if found is None or found != self.uri:
            raise ssl.SSLCertVerificationError(1, f"the certificate is of {found or 'nobody'}, not of {self.uri}")


def uri_of(certificate: Mapping[str, Any] | None) -> str | None:
    """The URI that a certificate, as `getpeercert` gives it, names; None for none or several."""
    names = [value for kind, value in (certificate or {}).get("subjectAltName", ()) if kind == "URI"]
    return names[0] if len(names) == 1 else None
