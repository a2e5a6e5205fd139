"""The port that an agent serves, with TLS or without."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING

import uvicorn
from starlette.datastructures import MutableHeaders

from agent_runtime.server.app import build_app
from agent_runtime.server.connection import PEER, Peer, PeerProtocol
from agent_runtime.tls.contexts import PortContext
from agent_runtime.tls.material import Renewal, server_context

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from agent_runtime.agent import Agent

_HEAD_BYTES = 16 << 10


def port_config(agent: Agent) -> uvicorn.Config:
    """How uvicorn serves an agent.

    Raises:
        ConfigError: The mounted certificates can't be used.
    """
    settings, app, context = agent.settings, build_app(agent), None
    if agent.material is not None:
        renewal = Renewal(agent.material, server_context)
        context = PortContext(ssl.PROTOCOL_TLS_SERVER, renewal)
        app.add_middleware(CloseOutdated, renewal=renewal)
    app.add_middleware(CloseOnDrain, agent=agent)
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port or (8080 if context is None else 8443),
        http=PeerProtocol,
        log_config=None,
        ws="none",
        h11_max_incomplete_event_size=_HEAD_BYTES,
        access_log=False,
        server_header=False,
        # Who calls is bound to the context: nothing of one request may be seen by the next on its connection.
        reset_contextvars=True,
        timeout_graceful_shutdown=int(settings.drain_timeout),
        ssl_context_factory=(lambda *_: context) if context else None,
    )


class CloseOnDrain:
    """Ends each connection after its answer while the pod is about to end.

    Clients that keep connections so move on before the port closes; a request that met the closing would be lost.
    """

    def __init__(self, app: ASGIApp, agent: Agent) -> None:
        self._app = app
        self._agent = agent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""

        async def mark(message: Message) -> None:
            if message["type"] == "http.response.start" and self._agent.draining:
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self._app(scope, receive, mark if scope["type"] == "http" else send)


class CloseOutdated:
    """Ends connections that are older than the certificates, on either side, after the answer that is due.

    So clients connect anew with new certificates, and no request is lost.
    """

    def __init__(self, app: ASGIApp, renewal: Renewal) -> None:
        self._app = app
        self._renewal = renewal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        peer: Peer | None = scope.get("state", {}).get(PEER)
        if scope["type"] != "http" or peer is None:
            await self._app(scope, receive, send)
            return

        async def mark(message: Message) -> None:
            if message["type"] == "http.response.start" and self._outdated(peer):
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self._app(scope, receive, mark)

    def _outdated(self, peer: Peer) -> bool:
        return peer.context is not self._renewal.current() or (peer.ends is not None and peer.ends < time.time())
