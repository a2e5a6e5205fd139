"""TLS with services whose authorities a Secret holds."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agent_runtime.tls.material import Stamp, file_stamp


class AuthoritiesContext(ssl.SSLContext):
    """Trusts the certificates in a file, and no others; made anew when the file changes."""

    def __init__(self, _: int, file: Path) -> None:
        """The number is ssl.PROTOCOL_TLS_CLIENT, which the base class takes when the object is made."""
        self._file = file
        self._seen: Stamp = ()
        self._made: ssl.SSLContext | None = None

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Does nothing: there is one protocol, which is set with the rest."""

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """As ssl.SSLContext; also raises SSLError if the file can't be used."""
        return self._current().wrap_bio(*args, **options)

    def _current(self) -> ssl.SSLContext:
        stamp = (file_stamp(self._file),)
        if self._made is None or stamp != self._seen:
            try:
                made = ssl.create_default_context(cafile=str(self._file))
            except OSError as error:  # which ssl.SSLError is as well
                raise ssl.SSLError(1, "the Secret has no certificates of authorities that can be used") from error
            made.set_alpn_protocols(["http/1.1"])
            self._made, self._seen = made, stamp
        return self._made
