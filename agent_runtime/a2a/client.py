"""Calls of the protocol's methods at another agent."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from agent_runtime import outbound, plain
from agent_runtime.a2a.errors import INTERNAL
from agent_runtime.a2a.protocol import CARD_PATH, VERSION, VERSION_HEADER
from agent_runtime.errors import CallError, CallErrorKind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

_HEAD_SECONDS = 30.0
_SILENCE_SECONDS = 60.0
"""Longest time without a byte on a stream; agents send a comment every 15 s."""
_QUOTED = 500
_DEFAULT_PORTS = {"http": 80, "https": 443}


class RefusalError(CallError):
    """The other agent answered with an error of the protocol."""

    def __init__(self, code: int, message: str) -> None:
        kind = CallErrorKind.SERVER if code == INTERNAL else CallErrorKind.REFUSED
        super().__init__(kind, message)
        self.code = code


@dataclass(frozen=True)
class Interface:
    """Where an agent takes JSON-RPC, and whether it streams."""

    url: str
    streaming: bool


@dataclass(frozen=True)
class Endpoint:
    """An agent to call.

    Attributes:
        what: names it in error messages.
        headers: go with each request.
    """

    what: str
    http: httpx.AsyncClient
    interface: Interface
    headers: Mapping[str, str]

    async def call(self, method: str, params: Mapping[str, Any], limit: float) -> dict[str, Any]:
        """The result of a method, within `limit` seconds.

        Raises:
            CallError: There is none.
        """
        text = await outbound.request(
            self.http,
            "POST",
            self.interface.url,
            what=self.what,
            timeout=limit,
            headers={**self.headers, VERSION_HEADER: VERSION},
            body=_request(method, params),
        )
        return self._result(text)

    async def stream(self, method: str, params: Mapping[str, Any], limit: float) -> AsyncGenerator[dict[str, Any]]:
        """The results that a method brings, one after the other, for at most `limit` seconds.

        Raises:
            CallError: As `call`; or the stream broke.
        """
        async with self._opened(_request(method, params), limit) as answer:
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                whole = [line async for line in outbound.lines(answer, self.what, limit)]
                yield self._result("\n".join(whole))
                return
            data: list[str] = []
            async for line in outbound.lines(answer, self.what, limit):
                if line.startswith("data:"):
                    data.append(line.removeprefix("data:").removeprefix(" "))
                elif not line and data:
                    yield self._result("\n".join(data))
                    data = []

    @asynccontextmanager
    async def _opened(self, body: Mapping[str, Any], limit: float) -> AsyncIterator[httpx.Response]:
        headers = {**self.headers, VERSION_HEADER: VERSION, "accept": "text/event-stream"}
        head = min(limit, _HEAD_SECONDS)
        timeout = httpx.Timeout(head, read=min(limit, _SILENCE_SECONDS))
        try:
            request = self.http.build_request("POST", self.interface.url, json=body, headers=headers, timeout=timeout)
            async with asyncio.timeout(head):
                answer = await self.http.send(request, stream=True)
        except TimeoutError:
            raise CallError(CallErrorKind.TIMEOUT, f"{self.what} gave no answer within {head:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise outbound.transport_error(error, self.what, head) from error
        try:
            outbound.check(answer, self.what)
            yield answer
        except httpx.HTTPError as error:
            raise outbound.transport_error(error, self.what, _SILENCE_SECONDS) from error
        finally:
            await answer.aclose()

    def _result(self, text: str | bytes) -> dict[str, Any]:
        answer = _object(text, self.what)
        if isinstance(error := answer.get("error"), dict):
            code, told = error.get("code"), str(error.get("message") or "no reason given")[:_QUOTED]
            raise RefusalError(code if isinstance(code, int) else 0, f"{self.what} refused the request: {told}")
        if not isinstance(result := answer.get("result"), dict):
            raise CallError(CallErrorKind.BAD_ANSWER, f"{self.what} gave an answer that is none of JSON-RPC")
        return result


async def discover(http: httpx.AsyncClient, url: str, headers: Mapping[str, str], what: str, limit: float) -> Interface:
    """What the card of an agent says about where it is called.

    Raises:
        CallError: There is no card, or none that can be used.
    """
    address = f"{url.rstrip('/')}{CARD_PATH}"
    text = await outbound.request(http, "GET", address, what=f"the card of {what}", timeout=limit, headers=headers)
    return interface_of(_object(text, f"the card of {what}"), url, what)


def interface_of(card: Mapping[str, Any], url: str, what: str) -> Interface:
    """The interface that is spoken here, at the same host and port as `url`.

    A card that leads elsewhere is not followed: the agent's token would go there, and nobody has allowed the way.

    Raises:
        CallError: There is none.
    """
    found = [one for one in _list(card.get("supportedInterfaces")) if isinstance(one, dict)]
    spoken = [
        str(one.get("url"))
        for one in found
        if one.get("protocolBinding") == "JSONRPC" and str(one.get("protocolVersion")).split(".")[0] == "1"
    ]
    if not spoken:
        raise CallError(CallErrorKind.REFUSED, f"{what} does not speak A2A {VERSION} by JSON-RPC, as its card says")
    near = [one for one in spoken if _origin(one) == _origin(url)]
    if not near:
        raise CallError(
            CallErrorKind.REFUSED,
            f"the card of {what} leads to another host, which is not followed: write that address into `with.url`",
        )
    capabilities = card.get("capabilities")
    return Interface(near[0], bool(isinstance(capabilities, dict) and capabilities.get("streaming")))


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None


def _request(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": str(uuid4()), "method": method, "params": dict(params)}


def _object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        value = plain.parse(text)
    except (ValueError, json.JSONDecodeError):
        value = None
    if not isinstance(value, dict):
        raise CallError(CallErrorKind.BAD_ANSWER, f"{what} gave an answer that is no JSON object")
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
