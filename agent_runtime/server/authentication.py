"""No request reaches a handler before it is known who sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from structlog.contextvars import bound_contextvars

from agent_runtime.a2a.protocol import CARD_PATH
from agent_runtime.auth.principal import NOBODY
from agent_runtime.auth.proof import Proof
from agent_runtime.errors import AgentError, AuthenticationError
from agent_runtime.resilience.subject import Subject, subject
from agent_runtime.server import problems
from agent_runtime.server.connection import PEER, Peer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from agent_runtime.auth.authenticator import Authenticator
    from agent_runtime.metrics import Metrics

log = structlog.get_logger()

OPEN = frozenset({"/livez", "/readyz", "/ok", CARD_PATH})
"""What probes and load balancers ask, and the card by which clients learn what proof to bring. It tells nothing of any
caller."""
METRICS = "/metrics"
_HANDSHAKE = ("OPTIONS", "/events")
"""By which a sender asks whether its events are wanted, before it sends any with its proof."""


class Authenticate:
    """Puts the `Principal` into the request's state, or answers 401 or 403."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator, metrics: Metrics) -> None:
        self._app = app
        self._authenticator = authenticator
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or scope["path"] in OPEN or (scope["method"], scope["path"]) == _HANDSHAKE:
            await self._app(scope, receive, send)
            return
        peer: Peer | None = scope.get("state", {}).get(PEER)
        address = (scope.get("client") or ("",))[0]
        proof = Proof.read(Headers(scope=scope), peer.uri if peer else None, address)
        try:
            if scope["path"] == METRICS:
                self._authenticator.may_scrape(proof)
                principal = NOBODY
            else:
                principal = await self._authenticator.principal(proof)
                self._metrics.authenticated(principal.method)
        except AgentError as error:
            await self._refuse(error, proof, scope, receive, send)
            return
        scope.setdefault("state", {})["principal"] = principal
        subject.set(Subject.of_owner(principal.owner))
        with bound_contextvars(**principal.description):
            await self._app(scope, receive, send)

    async def _refuse(self, error: AgentError, proof: Proof, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await problems.on_agent_error(Request(scope), error)
        if isinstance(error, AuthenticationError):
            invalid = ', error="invalid_token"' if proof.bearer or proof.key else ""
            answer.headers["www-authenticate"] = self._authenticator.challenge + invalid
        self._metrics.refused(answer.status_code)
        log.info("refused a caller", status=answer.status_code, reason=str(error))
        await answer(scope, receive, send)
