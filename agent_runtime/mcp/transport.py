"""The library's HTTP, sent by the agent's own guarded client.

The official library speaks by httpx2, a successor of httpx; nothing of it opens a connection here. So MCP servers are
under the same rules as all that agents call: no forbidden addresses, no redirects, no proxies of the environment,
limits of size, and no secret comes back.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import httpx2

from agent_runtime import outbound
from agent_runtime.errors import CallError

_CONNECT = 10.0
_FAREWELL = 2.0
"""Seconds for telling a server that a session has ended."""
_LONGEST_STREAM = 86400.0
"""Seconds after which a stream that waits for news is begun anew."""
_OWN = {"host", "content-length", "user-agent", "accept-encoding", "connection"}
"""Headers of the library's requests that ours have by themselves."""
_WANTED = {"content-type", "mcp-session-id", "set-cookie"}
"""Headers of answers that the library has a use for."""
_UNHEARD = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
"""Statuses with which nothing was carried out."""
_CLEAR = {
    HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS,
}  # fmt: skip
"""Statuses below 500 that say by themselves what is wrong; of others the body may say more."""


@dataclass
class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends the requests of one session. `timeout` is in seconds, and of each of them.

    A failure is told to the library as an error of the protocol, since it gives up the whole session for an exception;
    `failure` keeps what it really was.
    """

    http: httpx.AsyncClient
    what: str
    headers: Mapping[str, str]
    """Sent with each request."""
    credentials: Callable[[], Mapping[str, str]]
    """Headers that prove who asks; made at use, so that a rotated key is seen."""
    timeout: float
    failure: CallError | None = None
    """Why the last message could not be sent or answered."""
    unheard: bool = True
    """Whether the server can't have carried out the last message."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends it. Raises nothing but the end of the task."""
        is_message = request.method == "POST"
        if is_message:
            self.failure, self.unheard = None, True
        try:
            answer = await self._send(request)
        except CallError as error:
            return self._failed(error, is_message)
        headers = [(name, value) for name, value in answer.headers.multi_items() if name in _WANTED]
        return httpx2.Response(answer.status_code, headers=headers, stream=_Body(self, answer, is_message))

    async def _send(self, request: httpx2.Request) -> httpx.Response:
        content = await request.aread()
        secret = self.credentials()
        sent = {**self.headers, **{name: each for name, each in request.headers.items() if name not in _OWN}, **secret}
        limit = self.timeout if request.method == "POST" else _FAREWELL if request.method == "DELETE" else None
        outgoing = self.http.build_request(
            request.method,
            str(request.url),
            content=content or None,
            headers=sent,
            timeout=httpx.Timeout(_CONNECT, read=limit),
            extensions={outbound.SECRET_HEADERS: tuple(secret)},
        )
        try:
            answer = await self.http.send(outgoing, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self.unheard = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            raise outbound.transport_error(error, self.what, limit or _CONNECT) from error
        self.unheard = answer.status_code in _UNHEARD
        try:
            if answer.status_code in _CLEAR or not answer.is_client_error:
                outbound.check(answer, self.what)
        except CallError:
            await answer.aclose()
            raise
        return answer

    def _failed(self, error: CallError, is_message: bool) -> httpx2.Response:  # noqa: FBT001 - private
        if not is_message:
            return httpx2.Response(HTTPStatus.METHOD_NOT_ALLOWED)
        self.failure = error
        told = {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": str(error)}}
        return httpx2.Response(
            HTTPStatus.BAD_REQUEST, content=json.dumps(told), headers={"content-type": "application/json"}
        )


class _Body(httpx2.AsyncByteStream):
    """An answer's body, within the limits and without the secrets that were sent."""

    def __init__(self, transport: GuardedTransport, answer: httpx.Response, is_message: bool) -> None:  # noqa: FBT001 - private
        self._transport = transport
        self._answer = answer
        self._is_message = is_message

    async def __aiter__(self) -> AsyncIterator[bytes]:
        what, limit = self._transport.what, self._transport.timeout if self._is_message else _LONGEST_STREAM
        try:
            if self._answer.headers.get("content-type", "").lower().startswith("text/event-stream"):
                async for line in outbound.lines(self._answer, what, limit):
                    yield line.encode() + b"\n"
            else:
                yield await outbound.read(self._answer, what)
        except (CallError, httpx.HTTPError) as error:
            told = error if isinstance(error, CallError) else outbound.transport_error(error, what, limit)
            if self._is_message:
                self._transport.failure = told
            raise httpx2.StreamError(str(told)) from error

    async def aclose(self) -> None:
        await self._answer.aclose()
