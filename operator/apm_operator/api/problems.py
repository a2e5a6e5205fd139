"""Says in words what pydantic found wrong with a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_ADVICE = {
    "missing": "is required: set it",
    "extra_forbidden": "is not a known field: remove it, or correct its name",
}


def describe(error: ValidationError, written: object) -> Iterator[str]:
    """One line for each problem: the field's path in the resource, and what to do.

    Args:
        error: What pydantic raised.
        written: The value that it was given as `spec`.
    """
    for detail in error.errors(include_url=False):
        if not _echo(detail):
            yield f"`{path(detail['loc'], written)}` {_advice(detail)}"


def path(loc: Sequence[str | int], written: object) -> str:
    """The field's path below `spec`, such as `spec.workflow.nodes[2].next`.

    Pydantic's location also names the member of a union that it tried; what was written tells those apart
    from fields.
    """
    text = "spec"
    value = written
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(part, int):
            text += f"[{part}]"
            value = value[part] if isinstance(value, Sequence) and part < len(value) else None
        elif part == "[key]":
            continue
        elif isinstance(value, Mapping) and part in value:
            text += f".{part}"
            value = value[part]
        elif last and isinstance(value, Mapping):
            text += f".{part}"
    return text


def _echo(detail: ErrorDetails) -> bool:
    """Whether a list counts as too short only because its items were dropped as invalid."""
    value: Any = detail["input"]
    return detail["type"] == "too_short" and len(value) >= detail["ctx"]["min_length"]


def _advice(detail: ErrorDetails) -> str:
    known = _ADVICE.get(detail["type"])
    if known is not None:
        return known
    message = detail["msg"]
    return f"is wrong: {message[0].lower()}{message[1:]}"
