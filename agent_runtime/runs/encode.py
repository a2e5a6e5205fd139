"""State and events as JSON, in the shapes that langgraph-sdk expects."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

import orjson
from langchain_core.messages import BaseMessage
from langgraph.types import Interrupt
from pydantic import BaseModel

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


def dumps(value: Any) -> bytes:
    """JSON text; what JSON has no form for comes as near as can be, so that one such value hides no other."""
    try:
        return orjson.dumps(value, default=_default, option=_OPTIONS)
    except TypeError:
        return orjson.dumps(_near(value), default=_default, option=_OPTIONS)


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
    if isinstance(value, BaseException):
        return type(value).__name__  # its words are told once, in the run's error, without secrets
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return str(value)


def _near(value: Any) -> Any:
    """The value without half characters and integers of more than 64 bits, which models and tools may answer."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 64 else str(value)
    if isinstance(value, dict):
        return {_near(key): _near(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and not hasattr(value, "_asdict"):
        return [_near(item) for item in value]
    return value if value is None or isinstance(value, float) else _near(_default(value))
