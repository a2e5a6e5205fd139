"""State and events as JSON, in the shapes that langgraph-sdk expects."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

import orjson
from langchain_core.messages import BaseMessage
from langgraph.types import Interrupt
from pydantic import BaseModel


def dumps(value: Any) -> bytes:
    """JSON text."""
    return orjson.dumps(value, default=_default, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z)


def plain(value: Any) -> Any:
    """A value as plain data."""
    return orjson.loads(dumps(value))


def _default(value: Any) -> Any:  # noqa: PLR0911 - one return per type is the plain way
    if isinstance(value, BaseMessage):
        return value.model_dump()
    if isinstance(value, Interrupt):
        return {"value": value.value, "id": value.id}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, bytes):
        raise TypeError("bytes have no JSON form")
    return str(value)
