"""What kind of failure an exception is: it decides whether to try again."""

from __future__ import annotations

import sys
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from agent_runtime.errors import (
    AuthenticationError,
    CallError,
    CallErrorKind,
    ForbiddenError,
    TooManyRequestsError,
    UnavailableError,
)


class ErrorCategory(StrEnum):
    """Categories of failures."""

    TRANSIENT = "TRANSIENT"
    """May be over in a moment: a server's error, no connection."""
    PERMANENT = "PERMANENT"
    """Fails again however often it is tried: a wrong request, a bug."""
    RATE_LIMIT = "RATE_LIMIT"
    """Too many requests: later, or fewer, will do."""
    TIMEOUT = "TIMEOUT"
    """No answer in time."""
    AUTHENTICATION = "AUTHENTICATION"
    """The credentials are refused."""


RETRYABLE = frozenset({ErrorCategory.TRANSIENT, ErrorCategory.RATE_LIMIT, ErrorCategory.TIMEOUT})

_KINDS = {
    CallErrorKind.TIMEOUT: ErrorCategory.TIMEOUT,
    CallErrorKind.CONNECTION: ErrorCategory.TRANSIENT,
    CallErrorKind.RATE_LIMIT: ErrorCategory.RATE_LIMIT,
    CallErrorKind.SERVER: ErrorCategory.TRANSIENT,
    CallErrorKind.CIRCUIT_OPEN: ErrorCategory.TRANSIENT,
    CallErrorKind.AUTHENTICATION: ErrorCategory.AUTHENTICATION,
    CallErrorKind.REFUSED: ErrorCategory.PERMANENT,
    CallErrorKind.BAD_ANSWER: ErrorCategory.PERMANENT,
}
_TYPES: tuple[tuple[type[BaseException], ErrorCategory], ...] = (
    (UnavailableError, ErrorCategory.TRANSIENT),
    (TooManyRequestsError, ErrorCategory.RATE_LIMIT),
    (AuthenticationError, ErrorCategory.AUTHENTICATION),
    (ForbiddenError, ErrorCategory.AUTHENTICATION),
    (TimeoutError, ErrorCategory.TIMEOUT),
    (ConnectionError, ErrorCategory.TRANSIENT),
)
_WORDS = (
    ("RateLimit", ErrorCategory.RATE_LIMIT),
    ("Timeout", ErrorCategory.TIMEOUT),
    ("Authentication", ErrorCategory.AUTHENTICATION),
    ("PermissionDenied", ErrorCategory.AUTHENTICATION),
    ("Connection", ErrorCategory.TRANSIENT),
    ("TransportError", ErrorCategory.TRANSIENT),
)
"""Parts of the names of exceptions of httpx, openai and others, none of which is imported for it."""


def categorize(error: BaseException) -> ErrorCategory:
    """The category of any exception; what nothing is known of is PERMANENT."""
    return known_category(error) or ErrorCategory.PERMANENT


def known_category(error: BaseException) -> ErrorCategory | None:
    """The category of an exception that says of itself what it is: by its type, or by a status of HTTP."""
    if isinstance(error, CallError):
        return _KINDS[error.kind]
    for kind, category in _TYPES:
        if isinstance(error, kind):
            return category
    if status := _status(error):
        return _of_status(status)
    names = [each.__name__ for each in type(error).__mro__]
    return next((category for word, category in _WORDS if any(word in name for name in names)), None)


def retry_after(error: BaseException) -> float | None:
    """Seconds for which the other side asked to be left alone."""
    pause = getattr(error, "retry_after", None)
    return float(pause) if isinstance(pause, int | float) else None


def is_control_flow(error: BaseException) -> bool:
    """Whether it is no failure but LangGraph's way out of a node, such as an interrupt."""
    errors: Any = sys.modules.get("langgraph.errors")
    return errors is not None and isinstance(error, errors.GraphBubbleUp)


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    for holder in (error, response):
        for name in ("status_code", "status"):
            if isinstance(status := getattr(holder, name, None), int):
                return status
    return None


def _of_status(status: int) -> ErrorCategory | None:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ErrorCategory.RATE_LIMIT
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return ErrorCategory.AUTHENTICATION
    if status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT}:
        return ErrorCategory.TIMEOUT
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ErrorCategory.TRANSIENT
    return ErrorCategory.PERMANENT if status >= HTTPStatus.BAD_REQUEST else None
