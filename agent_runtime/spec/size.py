"""How much room a value takes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

_SCALAR = 4


def exceeds(value: Any, limit: int) -> bool:
    """Whether the JSON text of plain data or messages would have more than about `limit` bytes."""
    size = 0
    waiting = [value]
    while waiting and size <= limit:
        one = waiting.pop()
        if isinstance(one, str):
            size += len(one) if one.isascii() else len(one.encode(errors="replace"))
        elif isinstance(one, bytes):
            size += len(one)
        elif parts := _parts(one):
            size += len(parts)
            waiting += parts
        else:
            size += _SCALAR
    return size > limit


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    return list(vars(value).values()) if isinstance(value, BaseModel) else []
