"""What the library raises, as the failure of a call."""

from __future__ import annotations

import mcp_types as types
from mcp import MCPError
from pydantic import ValidationError

from agent_runtime.errors import CallError, CallErrorKind

LONGEST = 500
"""Characters of a server's own words that are quoted."""

_KINDS = {
    types.REQUEST_TIMEOUT: CallErrorKind.TIMEOUT,
    types.CONNECTION_CLOSED: CallErrorKind.CONNECTION,
    types.INTERNAL_ERROR: CallErrorKind.SERVER,
    types.PARSE_ERROR: CallErrorKind.BAD_ANSWER,
}


def call_error(error: Exception, what: str, known: CallError | None, limit: float) -> CallError:
    """The failure of a call to `what` that had `limit` seconds; `known` is what the transport saw of it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, CallError):
        return error
    if known is not None:
        return known
    if isinstance(error, TimeoutError):
        return CallError(CallErrorKind.TIMEOUT, f"{what} gave no answer within {limit:g} s")
    if isinstance(error, MCPError):
        kind = _KINDS.get(error.code, CallErrorKind.REFUSED)
        return CallError(kind, f"{what} says: {shortened(error.message)} ({error.code})")
    if isinstance(error, ValidationError):
        return CallError(CallErrorKind.BAD_ANSWER, f"{what} answered with something that the protocol does not know")
    return CallError(CallErrorKind.BAD_ANSWER, f"{what} does not keep to the protocol: {type(error).__name__}")


def shortened(text: str) -> str:
    """A server's own words, cut where they are many."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
