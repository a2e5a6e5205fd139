"""Whether an object is as a manifest wants it, in the fields that the manifest names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import InvalidOperation
from typing import Any

from apm_operator.api.quantity import amount

_QUANTITY_FIELDS = frozenset({"limits", "requests", "sizeLimit"})


def covers(observed: Any, desired: Any, *, quantities: bool = False) -> bool:
    """Whether `observed` says everything that `desired` does.

    What only `observed` has is left alone: defaults of the API server, fields of other writers. An empty value equals
    an absent one, because the API server drops empty values; a quantity equals another spelling of itself.
    """
    if isinstance(desired, Mapping):
        if not isinstance(observed, Mapping):
            return not desired and observed is None
        return all(
            covers(observed.get(name), value, quantities=quantities or name in _QUANTITY_FIELDS)
            for name, value in desired.items()
        )
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        if observed is None:
            return not desired
        return len(observed) == len(desired) and all(
            covers(one, other, quantities=quantities) for one, other in zip(observed, desired, strict=True)
        )
    if observed == desired or (observed is None and not desired):
        return True
    return quantities and _same_quantity(observed, desired)


def _same_quantity(one: Any, other: Any) -> bool:
    try:
        return amount(one) == amount(other)
    except (InvalidOperation, KeyError):
        return False
