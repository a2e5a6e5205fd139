"""HTTP calls that leave the pod: to models, tools and other agents."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import stamina

from agent_runtime.addresses import GuardedBackend
from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.redaction import PLACEHOLDER
from agent_runtime.resilience import retry
from agent_runtime.resilience.breakers import no_guard
from agent_runtime.resilience.categories import RETRYABLE
from agent_runtime.spec.backoff import BackoffSpec
from agent_runtime.spec.scalars import seconds
from agent_runtime.tls.public import TrustOnUse
from agent_runtime.tracing import spans

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

    from agent_runtime.resilience.breakers import Guard
    from agent_runtime.spec.secret import SecretKeyRef

T = TypeVar("T")

_BACKOFF = BackoffSpec()

HEADER_VALUE = re.compile(r"[!-~]+")

SECRET_HEADERS = "apm_secret_headers"  # noqa: S105 - a name
"""Key among a request's extensions: the headers in which it carries secrets, beside a bearer token."""
_SHORTEST_TOKEN = 6
"""Characters; a shorter one stands in many texts by chance."""
_REDIRECTS = range(300, 400)
MAX_ANSWER_BYTES = 4 << 20
"""Largest answer that is read; a bigger one fails the call instead of filling the pod's memory."""

MAX_STREAM_BYTES = 64 << 20
"""Largest stream that is read; its many small events take far more room than the text in them."""


@dataclass(frozen=True)
class Baggage:
    """What a run passes on to the services it calls."""

    hops: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    owner: str = "anonymous"
    """Whose run it is, see `Principal.owner`."""
    deadline: float | None = None
    """When the run has to have ended, by `time.time()`."""
    again: bool = False
    """Whether nodes of the run may have begun before: it answers a question, or its pod died."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the run has ended, or stops to go on elsewhere."""

    @property
    def left(self) -> float | None:
        """Seconds until then."""
        return None if self.deadline is None else max(0.0, self.deadline - time.time())


_NONE = Baggage()
baggage: ContextVar[Baggage] = ContextVar("baggage", default=_NONE)


def passed_on() -> dict[str, str]:
    """The headers that a call carries for the run: those that came with its request, and of the trace the newest."""
    return {**baggage.get().headers, **spans.headers()}


def client(context: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """A client for outgoing calls, which goes where the URL says and nowhere else.

    Redirects are not followed: they could leave the allowed hosts. Proxies and `.netrc` of the environment are not
    used. Answers are asked for unpacked, since a small packed one can fill the memory.
    """
    transport = httpx.AsyncHTTPTransport(
        verify=context or TrustOnUse(ssl.PROTOCOL_TLS_CLIENT), trust_env=False, limits=httpx.Limits(max_connections=200)
    )
    pool = transport._pool  # noqa: SLF001 - httpx has no parameter for it
    pool._network_backend = GuardedBackend(pool._network_backend)  # noqa: SLF001
    return httpx.AsyncClient(
        transport=transport, follow_redirects=False, trust_env=False, headers={"accept-encoding": "identity"}
    )


@dataclass(frozen=True)
class Secrets:
    """The mounted Secrets; a value is read at use, so that a rotation is seen and nothing keeps it."""

    directory: Path

    def read(self, ref: SecretKeyRef) -> str:
        """The value without surrounding white space.

        Raises:
            CallError: The file is missing or empty.
        """
        try:
            value = ref.path(self.directory).read_text(encoding="utf-8").strip()
        except OSError:
            value = ""
        if not value:
            raise CallError(
                CallErrorKind.AUTHENTICATION, f"Secret {ref.name} has no value for the key {ref.key}: set it"
            )
        return value

    def bearer(self, ref: SecretKeyRef) -> dict[str, str]:
        """The header that carries the value as a bearer token; raises as `token`."""
        return {"authorization": f"Bearer {self.token(ref)}"}

    def line(self, ref: SecretKeyRef) -> str:
        """The value for a header that may hold blanks; raises as `token`."""
        value = self.read(ref)
        if not value.isascii() or not value.isprintable():
            raise CallError(
                CallErrorKind.AUTHENTICATION,
                f"the key {ref.key} of Secret {ref.name} holds line breaks or other characters that no header has: "
                "set it to the header's value alone",
            )
        return value

    def token(self, ref: SecretKeyRef) -> str:
        """The value as a header can carry it.

        Raises:
            CallError: The file is missing or empty, or the value can't be in a header.
        """
        value = self.read(ref)
        if not HEADER_VALUE.fullmatch(value):
            raise CallError(
                CallErrorKind.AUTHENTICATION,
                f"the key {ref.key} of Secret {ref.name} holds line breaks, blanks or other characters that no token "
                "has: set it to the token alone",
            )
        return value


async def request(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    what: str,
    timeout: float,  # noqa: ASYNC109 - a limit of the whole call, handed to httpx as well
    headers: Mapping[str, str],
    body: Any = None,
    content: bytes | None = None,
    secret_header: str = "",
) -> bytes:
    """One HTTP call; returns the body of a 2xx answer.

    `what` names the other side in error messages. `timeout` is in seconds. `content` is sent as it is; it is JSON if
    `headers` have no `content-type`.
    An answer that holds the value of `secret_header`, or a bearer token that was sent, is returned without it.

    Raises:
        CallError: With the kind of the failure. Bodies of error answers are not quoted: they may hold secrets.
    """
    if body is not None:
        content = json.dumps(body, ensure_ascii=False).encode()
    sent = {"content-type": "application/json", **headers} if content is not None else dict(headers)
    try:
        # httpx's own limit is for each read, so that an answer that trickles in would never meet it.
        async with (
            asyncio.timeout(timeout),
            http.stream(
                method,
                url,
                content=content,
                headers=sent,
                timeout=timeout,
                extensions={SECRET_HEADERS: (secret_header,)},
            ) as answer,
        ):
            check(answer, what)
            return await read(answer, what)
    except TimeoutError:
        raise CallError(CallErrorKind.TIMEOUT, f"{what} gave no answer within {timeout:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise transport_error(error, what, timeout) from error


async def retried(
    call: Callable[[], Awaitable[T]],
    *,
    attempts: int,
    longest_pause: float,
    guard: Guard = no_guard,
    backoff: BackoffSpec = _BACKOFF,
    may_repeat: Callable[[], bool] = lambda: True,
) -> T:
    """Calls until it succeeds, at most `attempts` times, with backoff; each attempt goes through `guard`.

    A `Retry-After` of up to `longest_pause` seconds is honoured; a longer one ends the attempts. So does `may_repeat`,
    asked after a failure, where another attempt could do harm.
    """
    async for attempt in stamina.retry_context(
        on=lambda error: may_repeat() and pause(error, longest_pause),
        attempts=attempts,
        timeout=None,
        wait_initial=seconds(backoff.initial),
        wait_max=seconds(backoff.max),
        wait_jitter=1.0 if backoff.jitter else 0.0,
        wait_exp_base=backoff.factor,
    ):
        with attempt:
            async with guard():
                return await call()
    raise AssertionError("stamina either returns or raises")


def pause(error: Exception, longest: float) -> bool | float:
    """Whether to try again after `error`, or after how many seconds."""
    if not isinstance(error, CallError) or error.kind is CallErrorKind.CIRCUIT_OPEN:
        return False
    return retry.pause(error, RETRYABLE, longest)


def check(answer: httpx.Response, what: str) -> None:
    """Raises a CallError unless the answer's status is 2xx and its body is as it was sent. Its headers say no more."""
    status = answer.status_code
    if answer.is_success:
        if answer.headers.get("content-encoding", "identity").lower() not in {"", "identity"}:
            raise CallError(CallErrorKind.BAD_ANSWER, f"{what} packed its answer although it was asked not to")
        return
    if status in _REDIRECTS:
        raise CallError(
            CallErrorKind.REFUSED,
            f"{what} answered with a redirect ({status}), which is not followed: write the final address into the URL",
        )
    retry_after = _retry_after(answer.headers.get("retry-after"))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise CallError(CallErrorKind.RATE_LIMIT, f"{what} allows no more requests now (429)", retry_after=retry_after)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise CallError(CallErrorKind.AUTHENTICATION, f"{what} refused the credentials ({status})")
    if status == HTTPStatus.REQUEST_TIMEOUT:
        raise CallError(CallErrorKind.TIMEOUT, f"{what} timed out (408)")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise CallError(CallErrorKind.SERVER, f"{what} failed ({status})", retry_after=retry_after)
    raise CallError(CallErrorKind.REFUSED, f"{what} refused the request ({status})", status=status)


def transport_error(error: httpx.HTTPError | httpx.InvalidURL, what: str, timeout: float) -> CallError:
    """The CallError for a failure below HTTP."""
    if isinstance(error, httpx.TimeoutException):
        return CallError(CallErrorKind.TIMEOUT, f"{what} gave no answer within {timeout:g} s")
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return CallError(CallErrorKind.REFUSED, f"the address of {what} is not valid: correct it")
    if refused := _refused_certificate(error):
        return CallError(CallErrorKind.CONNECTION, f"no connection to {what}: {refused}")
    return CallError(CallErrorKind.CONNECTION, f"no connection to {what}: {type(error).__name__}")


def _refused_certificate(error: BaseException | None) -> str:
    """Why the other side's certificate was refused; "" if the failure has another cause."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is refused ({getattr(error, 'verify_message', '') or error.strerror})"
        error = error.__cause__ or error.__context__
    return ""


async def lines(answer: httpx.Response, what: str, limit: float) -> AsyncIterator[str]:
    """The lines of a streamed answer.

    Raises:
        CallError: A line, or the whole stream, is larger than what is read, or the stream takes longer than `limit`
            seconds.
    """
    parts: list[str] = []
    line = total = 0
    tokens = _tokens(answer)
    async for chunk in _within(limit, answer.aiter_text(), what):
        head, *rest = chunk.split("\n")
        parts.append(head)
        line += len(head)
        total += len(chunk)
        for piece in rest:
            yield _without(tokens, "".join(parts).removesuffix("\r"))
            parts, line = [piece], len(piece)
        if line > MAX_ANSWER_BYTES or total > MAX_STREAM_BYTES:
            raise CallError(CallErrorKind.BAD_ANSWER, f"{what} streams more than is read")
    yield _without(tokens, "".join(parts))


async def _within(limit: float, chunks: AsyncIterator[str], what: str) -> AsyncIterator[str]:
    deadline = asyncio.get_running_loop().time() + limit
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise CallError(CallErrorKind.TIMEOUT, f"{what} streams for longer than {limit:g} s") from None
        if chunk is None:
            return
        yield chunk


def _tokens(answer: httpx.Response) -> list[str]:
    """What the request proved itself with: a service may send that back, and its answer is kept and read by models."""
    headers = answer.request.headers
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    keys = [headers.get(name, "") for name in answer.request.extensions.get(SECRET_HEADERS, ())]
    return sorted((token for token in (bearer, *keys) if len(token) >= _SHORTEST_TOKEN), key=len, reverse=True)


async def read(answer: httpx.Response, what: str) -> bytes:
    """The body of an answer, without the secrets that were sent. Raises CallError if it is larger than what is read."""
    chunks = bytearray()
    async for chunk in answer.aiter_bytes():
        chunks += chunk
        if len(chunks) > MAX_ANSWER_BYTES:
            raise CallError(CallErrorKind.BAD_ANSWER, f"{what} answered more than {MAX_ANSWER_BYTES >> 20} MiB")
    body = bytes(chunks)
    for token in _tokens(answer):
        body = body.replace(token.encode(), PLACEHOLDER.encode())
    return body


def _without(tokens: Iterable[str], text: str) -> str:
    for token in tokens:
        text = text.replace(token, PLACEHOLDER)
    return text


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
