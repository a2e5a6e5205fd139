"""When an interrupt ends although nobody answered, and what its node gets then."""

from __future__ import annotations

from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from langgraph.runtime import get_runtime

EXPIRES_AT = "expires_at"
"""The field of an interrupt's value that says when it ends, as ISO 8601 has it, with an offset or in UTC."""
_EXPIRED = "expired"
_GREGORIAN = datetime(1582, 10, 15, tzinfo=UTC)
"""From when the time in a UUID counts (RFC 9562, 5.1)."""


def expires_at(seconds: float) -> str:
    """The time so many seconds after the node came to its turn: the same whenever the node runs again."""
    info = get_runtime().execution_info
    begun = _made(info.checkpoint_id) if info else None
    try:
        return ((begun or datetime.now(UTC)) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC).isoformat(timespec="milliseconds")


def expiry_of(value: Any) -> datetime | None:
    """When an interrupt with this value ends by itself, if it does."""
    told = value.get(EXPIRES_AT) if isinstance(value, dict) else None
    if not isinstance(told, str):
        return None
    try:
        moment = datetime.fromisoformat(told)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    if moment.year == MAXYEAR:
        return None  # never; and what is added to it has to be a time as well
    # As precise as MongoDB keeps it.
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def expired(value: dict[str, Any]) -> dict[str, Any]:
    """What an interrupt is resumed with at its end, in place of an answer."""
    return {"type": _EXPIRED, EXPIRES_AT: value.get(EXPIRES_AT)}


def is_expired(answer: Any) -> bool:
    """Whether an interrupt was resumed since nobody answered it in time."""
    return isinstance(answer, dict) and answer.get("type") == _EXPIRED and EXPIRES_AT in answer


def _made(checkpoint: str) -> datetime | None:
    """The time in a checkpoint's id, a UUID of version 6 (RFC 9562, 5.6)."""
    try:
        number = UUID(checkpoint).int
    except ValueError:
        return None
    ticks = number >> 80 << 12 | number >> 64 & 0xFFF
    return _GREGORIAN + timedelta(microseconds=ticks // 10)
