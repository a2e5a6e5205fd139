"""JSON-RPC 2.0, for both versions of the protocol."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from agent_runtime.a2a import legacy
from agent_runtime.a2a.errors import (
    A2AError,
    InvalidParamsError,
    InvalidRequestError,
    ParseError,
    VersionNotSupportedError,
)
from agent_runtime.a2a.protocol import LEGACY_VERSION, VERSION
from agent_runtime.plain import DEEPEST, deeper

if TYPE_CHECKING:
    from collections.abc import Mapping

Model = TypeVar("Model", bound=BaseModel)

_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(\.\d{1,4})?")


@dataclass(frozen=True)
class Envelope:
    """A request. Until its body is read, nothing is known of it.

    Attributes:
        method: by its name in version 1.0; a name that no version knows stands as it was sent.
        is_legacy: whether it is one of version 0.3.
    """

    id: str | int | None = None
    method: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    is_legacy: bool = False

    def read(self, model: type[Model]) -> Model:
        """The parameters.

        Raises:
            InvalidParamsError: They do not fit.
        """
        given = legacy.params(dict(self.params), self.method) if self.is_legacy else self.params
        try:
            return model.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            raise InvalidParamsError(f"{where}: {first['msg']}" if where else first["msg"]) from None

    def success(self, result: Any) -> dict[str, Any]:
        """The answer with a result of version 1.0."""
        told = legacy.result(self.method, result) if self.is_legacy else result
        return {"jsonrpc": "2.0", "id": self.id, "result": told}

    def failure(self, error: A2AError) -> dict[str, Any]:
        """The answer with an error."""
        return {"jsonrpc": "2.0", "id": self.id, "error": error.legacy_body if self.is_legacy else error.body}


def identifier(body: Any) -> str | int | None:
    """The id of what may be a request."""
    found = body.get("id") if isinstance(body, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def decoded(text: bytes) -> Any:
    """The body as plain data.

    Raises:
        ParseError: It is no JSON, or nested too deeply.
    """
    try:
        body = orjson.loads(text)
    except ValueError as error:
        raise ParseError(f"the body is no JSON: {error}") from None
    if deeper(body, DEEPEST):
        raise ParseError(f"the body has more than {DEEPEST} levels of lists and objects: make it flatter")
    return body


def parse(body: Any) -> Envelope:
    """The request that a body is.

    Raises:
        InvalidRequestError: It is none.
    """
    if isinstance(body, list):
        raise InvalidRequestError("batches are not taken: send one request at a time")
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0":
        raise InvalidRequestError("the body must be an object with `jsonrpc`: `2.0`")
    method, params = body.get("method"), body.get("params")
    if not isinstance(method, str) or not method:
        raise InvalidRequestError("`method` must name a method")
    if body.get("id") is not None and identifier(body) is None:
        raise InvalidRequestError("`id` must be a string, an integer or null")
    if params is not None and not isinstance(params, dict):
        raise InvalidParamsError("`params` must be an object")
    return Envelope(identifier(body), legacy.METHODS.get(method, method), params or {}, method in legacy.METHODS)


def check_version(header: str, asked: Envelope) -> None:
    """Whether the client speaks the version that it says: none says 0.3 (specification, section 3.6).

    Raises:
        VersionNotSupportedError: It does not, or this agent does not.
    """
    said = _VERSION.fullmatch(header.strip() or LEGACY_VERSION)
    wanted = LEGACY_VERSION if asked.is_legacy else VERSION
    if said is None or f"{said[1]}.{said[2]}" != wanted:
        raise VersionNotSupportedError(
            f"the method is one of version {wanted} of A2A: send the header A2A-Version: {wanted}; "
            f"this agent speaks {VERSION} and {LEGACY_VERSION}"
        )
