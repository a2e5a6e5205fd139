"""`POST /tokenreviews`: asks Kubernetes about a token for an agent, whose pods have none of their own.

Served with TLS, to agents only: whoever connects shows a certificate of the operator's authority, or of the issuer that
the agent in it names.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_runtime.spec.identity import agent_of
from apm_operator import listener, metrics
from apm_operator.errors import ApiError, NotFound
from apm_operator.kinds import SECRETS, TOKEN_REVIEWS
from apm_operator.pki import foreign, holding
from apm_operator.pki.own import SIGNERS
from apm_operator.pki.peer import uri_of

if TYPE_CHECKING:
    from apm_operator.kube import Kube

_LARGEST_BODY = 32_768
_AT_ONCE = 16
BODY_SECONDS = 5.0
"""How long an agent may take to send a question, which is small."""
_LINGER_SECONDS = 1.0
"""How long the rest of a question is read after the answer to it."""
_HANDSHAKE_SECONDS = 5.0
_MOST_OWN = 100
"""Certificates of the operator's authority; there are two or three while one follows another."""
_LOOK_SECONDS = 15.0
_FIRST_LOOK_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)


class Question(BaseModel):
    """What an agent asks: whether a token is good for an audience."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: str = Field(min_length=1, max_length=_LARGEST_BODY)
    audience: str = Field(min_length=1, max_length=253)


class TokenReviewServer:
    """Serves with the certificate in a Secret of its namespace, and takes up a new one for new connections."""

    def __init__(self, kube: Kube, namespace: str, secret: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._secret = secret
        self._context = _Newest(ssl.PROTOCOL_TLS_SERVER)
        self._version = ""
        self._own: tuple[bytes, ...] = ()
        self._signers: Mapping[str, tuple[bytes, ...]] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one, which `port` then names.

        Until `follow` has found a certificate, no connection comes about.
        """
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_post("/tokenreviews", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, lingering_time=_LINGER_SECONDS)
        await self._runner.setup()
        self._server = await asyncio.get_running_loop().create_server(
            cast("web.Server", self._runner.server),
            sock=listener.listen(host, port),
            ssl=self._context,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def follow(self) -> None:
        """Keep to the certificate that the Secret holds; it may be another process that writes it."""
        while True:
            try:
                await self._look()
            except NotFound:
                pass  # whoever leads makes it
            except (ApiError, ValueError, OSError) as error:
                _log.warning("The operator's certificate can't be used", error=_reason(error))
            await asyncio.sleep(_LOOK_SECONDS if self._version else _FIRST_LOOK_SECONDS)

    async def _look(self) -> None:
        body = await self._kube.get(SECRETS, self._namespace, self._secret)
        version = body["metadata"]["resourceVersion"]
        if version != self._version:
            data = body.get("data") or {}
            signers = foreign.read(base64.b64decode(data.get(SIGNERS, "")).decode())
            self._context.newest = _context(data, {each for found in signers.values() for each in found})
            self._own, self._signers = foreign.readable(_text(data, holding.AUTHORITY), _MOST_OWN), signers
            self._version = version

    async def _answer(self, request: web.Request) -> web.Response:
        agent = self._agent(request)
        if agent is None:
            metrics.TOKEN_REVIEWS.labels("refused").inc()
            return _problem(403, "Only agents may ask: show the certificate of one")
        try:
            async with asyncio.timeout(BODY_SECONDS):
                text = await request.read()
            question = Question.model_validate_json(text)
        except TimeoutError:
            metrics.TOKEN_REVIEWS.labels("refused").inc()
            answer = _problem(408, f"The question was not there within {BODY_SECONDS:g} s")
            answer.force_close()
            return answer
        except (ValidationError, web.HTTPRequestEntityTooLarge):
            metrics.TOKEN_REVIEWS.labels("refused").inc()
            return _problem(400, 'Send {"token": "...", "audience": "..."} of at most 32 KiB')
        try:
            async with self._gate:
                found = await self._review(question)
        except ApiError as error:
            _log.warning("A token could not be reviewed", agent=agent, error=str(error))
            metrics.TOKEN_REVIEWS.labels("failed").inc()
            return _problem(503, "Kubernetes could not be asked; try again")
        metrics.TOKEN_REVIEWS.labels("good" if found["authenticated"] else "bad").inc()
        return web.json_response(found)

    def _agent(self, request: web.Request) -> str | None:
        """The agent, as `namespace/name`, whose certificate the other side has shown.

        The handshake takes the certificates of all issuers; which of them may name this agent is looked at here: else
        whoever holds the authority of one namespace could pass for the agents of any other.
        """
        connection = request.transport.get_extra_info("ssl_object") if request.transport else None
        if connection is None:
            return None
        agent = agent_of(uri_of(connection.getpeercert()) or "")
        shown = connection.getpeercert(binary_form=True)
        if agent is None or shown is None:
            return None
        return agent if foreign.has_signed((*self._own, *self._signers.get(agent, ())), shown) else None

    async def _review(self, question: Question) -> dict[str, Any]:
        body = {
            "apiVersion": TOKEN_REVIEWS.api_version,
            "kind": TOKEN_REVIEWS.kind,
            "spec": {"token": question.token, "audiences": [question.audience]},
        }
        # A question, not a change: a stand-by may ask it as well.
        status = (await self._kube.create(TOKEN_REVIEWS, None, body, gated=False)).get("status") or {}
        # An API server that knows no audiences says nothing of them, and such a token may be for anybody.
        if not status.get("authenticated") or question.audience not in (status.get("audiences") or ()):
            return {"authenticated": False}
        return {
            "authenticated": True,
            "user": str((status.get("user") or {}).get("username", "")),
            "expires": _expires(question.token),
        }


class _Newest(ssl.SSLContext):
    """A context for asyncio to keep; each connection is made with the newest one.

    An authority can't be taken out of a context, so each is made anew. The first has no certificate: with it, no
    connection comes about.
    """

    newest = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return self.newest.wrap_bio(*args, **options)


def _context(data: Mapping[str, str], others: Iterable[bytes]) -> ssl.SSLContext:
    """For a server that demands a client's certificate.

    Args:
        data: the operator's own Secret.
        others: authorities beside the operator's; one that could spoil the proof of another one is left out.

    Raises:
        ValueError: the Secret's content can't be used.
        OSError: likewise; ssl.SSLError is one.
    """
    parts = {name: base64.b64decode(data.get(name, "")) for name in (holding.CERTIFICATE, holding.KEY)}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    # A resumed session would keep the client's identity beyond the life of its certificate.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    context.load_verify_locations(cadata=_text(data, holding.AUTHORITY))
    for each in sorted(others):
        if foreign.is_unmistakable(each):
            with suppress(ssl.SSLError):  # OpenSSL is stricter than who has read it before
                context.load_verify_locations(cadata=each.decode("ascii"))
    # `ssl` reads keys from files only; this one never reaches a disk.
    descriptor = os.memfd_create("apm-operator-tls", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"\n".join(parts.values()))
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    return context


def _text(data: Mapping[str, str], name: str) -> str:
    return base64.b64decode(data.get(name, "")).decode("ascii")


def _expires(token: str) -> int:
    """When a token that Kubernetes holds for good ends, in seconds since 1970; 0 where it does not say."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return int(claims.get("exp", 0))
    except (IndexError, ValueError, AttributeError, TypeError):
        return 0


def _problem(status: int, detail: str) -> web.Response:
    """RFC 9457."""
    body = {"type": "about:blank", "status": status, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")


def _reason(error: Exception) -> str:
    """Without what the Secret holds."""
    return str(error) if isinstance(error, ApiError) else type(error).__name__
