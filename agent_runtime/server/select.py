"""Answers with only the fields that a client selects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request


def selected(whole: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The named fields, or all if none is named; `values.x` is the field `x` of `values`.

    That something can't be read is told in any case.
    """
    if not names:
        return whole
    found: dict[str, Any] = {name: value for name, value in whole.items() if name in names or name == "unreadable"}
    for name in names:
        field, _, inner = name.partition(".")
        value = whole.get(field)
        if inner and field not in names and isinstance(value, dict):
            kept = found.setdefault(field, {})
            if inner in value:
                kept[inner] = value[inner]
    return found


def named(request: Request) -> list[str]:
    """The fields that the query selects."""
    return [name for name in request.query_params.getlist("select") if name]
