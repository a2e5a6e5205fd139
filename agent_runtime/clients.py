"""The HTTP clients of an agent's outgoing calls."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from agent_runtime import outbound
from agent_runtime.tls.contexts import PeerContext, peer_context
from agent_runtime.tls.material import Renewal

if TYPE_CHECKING:
    import httpx

    from agent_runtime.tls.material import Material


class Clients:
    """One client for models and tools, and one for each service that is shown the agent's own certificate."""

    def __init__(self, material: Material | None) -> None:
        """Raises ConfigError if the certificates can't be used; without `material` the agent has none."""
        self.http = outbound.client()
        self._renewal = Renewal(material, peer_context) if material else None
        self._by_uri: dict[str, httpx.AsyncClient] = {}

    def to(self, url: str, uri: str) -> httpx.AsyncClient | None:
        """The client for an address whose certificate has to name `uri`; None if that takes a certificate of one's own.

        An address without TLS is called as a model or tool is.
        """
        if not url.startswith("https:"):
            return self.http
        if self._renewal is None:
            return None
        if uri not in self._by_uri:
            self._by_uri[uri] = outbound.client(PeerContext(ssl.PROTOCOL_TLS_CLIENT, self._renewal, uri))
        return self._by_uri[uri]

    async def close(self) -> None:
        """Gives up all connections."""
        await asyncio.gather(self.http.aclose(), *(client.aclose() for client in self._by_uri.values()))
