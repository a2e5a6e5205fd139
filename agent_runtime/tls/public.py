"""TLS with services outside of the cluster."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import httpx


class TrustOnUse(ssl.SSLContext):
    """httpx's own TLS context, made at the first connection that needs one.

    The authorities it loads take 2 MiB and 30 ms of CPU, and many agents call nothing outside of their cluster.
    """

    @cached_property
    def _real(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """As ssl.SSLContext."""
        self._real.set_alpn_protocols(alpn_protocols)

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """As ssl.SSLContext."""
        return self._real.wrap_bio(*args, **options)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """As ssl.SSLContext."""
        return self._real.wrap_socket(*args, **options)
