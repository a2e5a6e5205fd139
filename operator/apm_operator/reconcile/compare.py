"""Whether an object is as a manifest wants it, in the fields that the manifest names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

_QUANTITY_FIELDS = frozenset({"limits", "requests", "sizeLimit"})
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


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
        return quantity(one) == quantity(other)
    except (InvalidOperation, KeyError):
        return False


def quantity(value: str | float) -> Decimal:
    """The number that a Kubernetes quantity such as `500m` or `1Gi` stands for."""
    text = str(value)
    number = text.rstrip("numkKMGTPEi")
    return Decimal(number) * _SUFFIXES[text[len(number) :]]
