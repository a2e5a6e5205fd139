"""Tools that are HTTP requests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from agent_runtime import outbound
from agent_runtime.errors import CallError, CallErrorKind, ConfigError
from agent_runtime.spec.scalars import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx
    from jsonschema.protocols import Validator

    from agent_runtime.outbound import Secrets
    from agent_runtime.spec.tool import ToolSpec


@dataclass(frozen=True)
class HTTPToolCaller:
    """Makes the requests of one tool."""

    spec: ToolSpec
    http: httpx.AsyncClient
    secrets: Secrets

    async def call(self, arguments: Mapping[str, Any], key: str) -> Any:
        """The service's answer: parsed where it is JSON, else text.

        `key` is sent as `Idempotency-Key`, so that a service can tell a repeated call from a new one.

        Raises:
            CallError: The arguments don't fit the tool's schema (`Refused`, nothing was sent), or the call failed.
        """
        self._check(arguments)
        tool = self.spec.http
        url, rest = self._address(dict(arguments))
        has_body = tool.method not in {"GET", "DELETE"}
        if rest and not has_body:
            query = urlencode({name: _text(value) for name, value in rest.items()})
            url += ("&" if "?" in url else "?") + query
        headers = {**tool.headers, **outbound.baggage.get().headers, "idempotency-key": key}
        if tool.bearer_token_secret_ref:
            headers["authorization"] = f"Bearer {self.secrets.read(tool.bearer_token_secret_ref)}"
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
            ),
            attempts=tool.max_attempts,
            longest_pause=timeout,
        )
        try:
            return json.loads(answer)
        except ValueError:
            return answer.decode("utf-8", errors="replace")

    @cached_property
    def _validator(self) -> Validator:
        return validator(self.spec.parameters, f"tool {self.spec.name}")

    def _check(self, arguments: Mapping[str, Any]) -> None:
        if problem := mismatch(self._validator, dict(arguments)):
            raise CallError(CallErrorKind.REFUSED, f"the arguments of tool {self.spec.name} don't fit: {problem}")

    def _address(self, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        url = self.spec.http.url
        for name in list(arguments):
            hole = f"{{{name}}}"
            if hole not in url:
                continue
            value = _text(arguments.pop(name))
            if value in {"", ".", ".."}:
                raise CallError(
                    CallErrorKind.REFUSED,
                    f"the argument {name} of tool {self.spec.name} can't be part of an address",
                )
            url = url.replace(hole, quote(value, safe=""))
        if "{" in url:
            missing = url.partition("{")[2].partition("}")[0]
            raise CallError(CallErrorKind.REFUSED, f"the argument {missing} of tool {self.spec.name} is missing")
        return url, arguments


def validator(schema: Mapping[str, Any], what: str) -> Validator:
    """A validator that never fetches a `$ref` from the network.

    Raises:
        ConfigError: `schema` is no valid JSON Schema.
    """
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - loaded only where a schema is used
    from referencing import Registry  # noqa: PLC0415 - likewise

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ConfigError(f"the JSON Schema of {what} is not valid: {error.message}") from error
    return Draft202012Validator(schema, registry=Registry())


def mismatch(checker: Validator, value: Any) -> str | None:
    """Where and why a value does not fit, or None."""
    error = next(iter(checker.iter_errors(value)), None)
    if error is None:
        return None
    where = ".".join(str(part) for part in error.absolute_path)
    return f"{where}: {error.message}" if where else error.message


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
