"""What exceptions are taken for."""

from __future__ import annotations

import httpx
import pytest
from langgraph.errors import GraphInterrupt

from agent_runtime.errors import CallError, CallErrorKind, TooManyRequestsError, UnavailableError
from agent_runtime.resilience.categories import ErrorCategory, categorize, is_control_flow, known_category


class APITimeoutError(Exception):
    """As openai names it."""


class RateLimitError(Exception):
    """As openai and anthropic name it."""


class StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__()
        self.status_code = status_code


def answered(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://it")
    return httpx.HTTPStatusError(f"status {status}", request=request, response=httpx.Response(status, request=request))


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (CallError(CallErrorKind.TIMEOUT, ""), "TIMEOUT"),
        (CallError(CallErrorKind.CONNECTION, ""), "TRANSIENT"),
        (CallError(CallErrorKind.SERVER, ""), "TRANSIENT"),
        (CallError(CallErrorKind.CIRCUIT_OPEN, ""), "TRANSIENT"),
        (CallError(CallErrorKind.RATE_LIMIT, ""), "RATE_LIMIT"),
        (CallError(CallErrorKind.AUTHENTICATION, ""), "AUTHENTICATION"),
        (CallError(CallErrorKind.REFUSED, ""), "PERMANENT"),
        (CallError(CallErrorKind.BAD_ANSWER, ""), "PERMANENT"),
        (UnavailableError("away"), "TRANSIENT"),
        (TooManyRequestsError("no more", retry_after=1), "RATE_LIMIT"),
        (TimeoutError(), "TIMEOUT"),
        (ConnectionResetError(), "TRANSIENT"),
        (httpx.ConnectError("gone"), "TRANSIENT"),
        (httpx.ReadTimeout("slow"), "TIMEOUT"),
        (answered(503), "TRANSIENT"),
        (answered(429), "RATE_LIMIT"),
        (answered(401), "AUTHENTICATION"),
        (answered(404), "PERMANENT"),
        (answered(504), "TIMEOUT"),
        (StatusError(403), "AUTHENTICATION"),
        (APITimeoutError(), "TIMEOUT"),
        (RateLimitError(), "RATE_LIMIT"),
        (ValueError("a bug"), "PERMANENT"),
        (FileNotFoundError(), "PERMANENT"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value!r} {getattr(value, 'kind', '')}".strip(),
)
def test_the_category_of(error: Exception, category: str):
    assert categorize(error) == ErrorCategory(category)


def test_each_kind_of_call_error_has_one():
    assert all(known_category(CallError(kind, "")) is not None for kind in CallErrorKind)


def test_of_others_nothing_is_known():
    assert known_category(ValueError()) is None
    assert known_category(StatusError(200)) is None


def test_an_interrupt_is_no_failure():
    assert is_control_flow(GraphInterrupt())
    assert not is_control_flow(ValueError())
