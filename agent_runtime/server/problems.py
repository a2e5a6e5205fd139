"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from agent_runtime.errors import (
    AgentError,
    AuthenticationError,
    ConflictError,
    FencedError,
    ForbiddenError,
    InputError,
    NotFoundError,
    TooManyRequestsError,
    UnavailableError,
)
from agent_runtime.runs.encode import dumps

if TYPE_CHECKING:
    from starlette.requests import Request

log = structlog.get_logger()

_STATUS: dict[type[AgentError], HTTPStatus] = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    FencedError: HTTPStatus.CONFLICT,
    AuthenticationError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    InputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyRequestsError: HTTPStatus.TOO_MANY_REQUESTS,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **members: object) -> Response:
    """A problem document."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **members,
    }
    return Response(dumps(document), status, headers, media_type="application/problem+json")


async def on_agent_error(_: Request, error: Exception) -> Response:
    """Our own errors, whose messages are meant for clients."""
    found = (status for kind, status in _STATUS.items() if isinstance(error, kind))
    status = next(found, HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {}
    if isinstance(error, UnavailableError | TooManyRequestsError):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, TooManyRequestsError):
        headers |= error.headers
    return problem(status, str(error), headers)


async def on_invalid(_: Request, error: Exception) -> Response:
    """Bodies and parameters that don't have the right shape."""
    if not isinstance(error, ValidationError):
        raise error
    found = [
        {"path": ".".join(str(part) for part in one["loc"]), "message": one["msg"]}
        for one in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    first = found[0]
    detail = f"{first['path']}: {first['message']}" if first["path"] else str(first["message"])
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=found)


async def on_http_error(_: Request, error: Exception) -> Response:
    """What the framework refuses: unknown paths, wrong methods."""
    if not isinstance(error, HTTPException):
        raise error
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = "this server has no such path"
    return problem(error.status_code, detail, dict(error.headers or {}))


async def on_gone(_: Request, __: Exception) -> Response:
    """Clients that hang up, or break the rules of HTTP, before their body has ended. Nobody reads this answer."""
    return problem(HTTPStatus.BAD_REQUEST, "the body was cut short")


async def on_bug(_: Request, error: Exception) -> Response:
    """Everything else. The message stays in the log."""
    log.error("request failed", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed; its log says why")
