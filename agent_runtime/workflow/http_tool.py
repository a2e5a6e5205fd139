"""Tools that are HTTP requests."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from agent_runtime import outbound, plain
from agent_runtime.errors import CallError, CallErrorKind, ConfigError
from agent_runtime.resilience.breakers import no_guard
from agent_runtime.spec.scalars import seconds
from agent_runtime.workflow.json_schema import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from agent_runtime.outbound import Secrets
    from agent_runtime.resilience.breakers import Guard
    from agent_runtime.spec.tool import HTTPTool, ToolSpec

_HOLE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class HTTPToolCaller:
    """Makes the requests of one tool."""

    spec: ToolSpec
    http: httpx.AsyncClient
    secrets: Secrets
    guard: Guard = no_guard

    def __post_init__(self) -> None:
        """Raises ConfigError if the tool makes no request, or its parameters are no valid JSON Schema."""
        _ = self._request, self._schema

    async def describe(self) -> ToolSpec:
        """As the spec says."""
        return self.spec

    async def call(self, arguments: Mapping[str, Any], key: str) -> Any:
        """The service's answer: parsed where it is JSON, else text.

        `key` is sent as `Idempotency-Key`, so that a service can tell a repeated call from a new one.

        Raises:
            CallError: The arguments don't fit the tool's schema (`Refused`, nothing was sent), or the call failed.
        """
        await self._check(arguments)
        tool = self._request
        url, rest = self._address(dict(arguments))
        has_body = tool.method not in {"GET", "DELETE"}
        if rest and not has_body:
            self._refuse_taken(rest)
            query = urlencode({name: _text(value) for name, value in rest.items()})
            url += ("&" if "?" in url else "?") + query
        headers = {**tool.headers, **outbound.passed_on(), "idempotency-key": key}
        secret_header = ""
        if tool.bearer_token_secret_ref:
            headers |= self.secrets.bearer(tool.bearer_token_secret_ref)
        if tool.api_key_secret_ref:
            # Whatever the run passes on under this name, in capitals or not, must not be a second value for it.
            secret_header = tool.api_key_header.lower()
            headers = {name: value for name, value in headers.items() if name.lower() != secret_header}
            headers[secret_header] = self.secrets.token(tool.api_key_secret_ref)
        timeout = seconds(tool.timeout)
        answer = await outbound.retried(
            lambda: outbound.request(
                self.http,
                tool.method,
                url,
                what=f"tool {self.spec.name}",
                timeout=timeout,
                headers=headers,
                body=rest if has_body else None,
                secret_header=secret_header,
            ),
            attempts=tool.max_attempts,
            longest_pause=timeout,
            guard=self.guard,
            backoff=tool.backoff,
        )
        try:
            return plain.parse(answer)
        except plain.TooDeep:
            raise CallError(
                CallErrorKind.BAD_ANSWER,
                f"tool {self.spec.name} answered with more than {plain.DEEPEST_ANSWER} levels of lists and objects",
            ) from None
        except ValueError:
            return answer.decode("utf-8", errors="replace")

    @cached_property
    def _request(self) -> HTTPTool:
        if self.spec.http is None:
            raise ConfigError(f"tool {self.spec.name} makes no HTTP request: set its `http`")
        return self.spec.http

    @cached_property
    def _schema(self) -> Schema:
        return Schema.read(self.spec.parameters, f"tool {self.spec.name}")

    async def _check(self, arguments: Mapping[str, Any]) -> None:
        if not sendable(arguments):
            raise CallError(
                CallErrorKind.REFUSED, f"the arguments of tool {self.spec.name} hold text that is no Unicode"
            )
        if problem := await self._schema.mismatch(dict(arguments)):
            raise CallError(CallErrorKind.REFUSED, f"the arguments of tool {self.spec.name} don't fit: {problem}")

    def _refuse_taken(self, arguments: Mapping[str, Any]) -> None:
        """An argument with the name of a parameter that the URL sets would be another value for it."""
        set_already = {name for name, _ in parse_qsl(self._request.url.partition("?")[2], keep_blank_values=True)}
        if taken := sorted(set_already.intersection(arguments)):
            raise CallError(
                CallErrorKind.REFUSED, f"the argument {taken[0]} of tool {self.spec.name} is set by the tool's address"
            )

    def _address(self, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        used = set()

        def value(hole: re.Match[str]) -> str:
            name = hole[1]
            if name not in arguments:
                raise CallError(CallErrorKind.REFUSED, f"the argument {name} of tool {self.spec.name} is missing")
            used.add(name)
            return quote(_text(arguments[name]), safe="")

        path, mark, query = self._request.url.partition("?")
        segments = []
        for segment in path.split("/"):
            filled = _HOLE.sub(value, segment)
            if filled != segment and filled in {"", ".", ".."}:
                raise CallError(
                    CallErrorKind.REFUSED,
                    f"the argument {_HOLE.findall(segment)[0]} of tool {self.spec.name} can't be part of an address",
                )
            segments.append(filled)
        url = "/".join(segments) + mark + _HOLE.sub(value, query)
        return url, {name: given for name, given in arguments.items() if name not in used}


def sendable(arguments: Mapping[str, Any]) -> bool:
    """Whether the arguments can be written as UTF-8: JSON lets half a character pass."""
    try:
        json.dumps(dict(arguments), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
