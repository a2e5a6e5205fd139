"""What changed between two values, so that only that is written. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Piece = bytes | list[int]
"""A new item, or the range `[from, to)` of the items there were before."""

_MISSING = object()
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
_RANGE_COST = 6
"""Bytes that a range takes, about."""


def pieces(old: Sequence[bytes], new: Sequence[bytes]) -> list[Piece]:
    """How to make the new items of the old ones."""
    same = next((at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), None)
    if same is None and len(new) >= len(old):
        return [*([[0, len(old)]] if old else []), *new[len(old) :]]
    places = {item: at for at, item in enumerate(old)}
    made: list[Piece] = []
    for item in new:
        at = places.get(item)
        last = made[-1] if made else None
        if at is None:
            made.append(item)
        elif isinstance(last, list) and (last[1] == at or (last[1] < len(old) and old[last[1]] == item)):
            last[1] += 1
        else:
            made.append([at, at + 1])
    return made


def assembled(old: Sequence[bytes], made: Sequence[Piece]) -> Iterator[bytes]:
    """The new items, of the old ones and what `pieces` told."""
    for piece in made:
        if isinstance(piece, bytes):
            yield piece
        else:
            yield from old[piece[0] : piece[1]]


def cost(made: Sequence[Piece]) -> int:
    """Bytes that the pieces take, about."""
    return sum(len(piece) if isinstance(piece, bytes) else _RANGE_COST for piece in made)


def difference(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> dict[str, Any]:
    """What `patched` makes of the old mapping the new one: `set` and `drop` keys, and go `into` mappings below."""
    changed: dict[Any, Any] = {}
    below: dict[Any, Any] = {}
    for key, value in new.items():
        before = old.get(key, _MISSING)
        kind = type(value)
        if kind is not type(before):
            changed[key] = value
        elif kind is str or kind is int:
            if value != before:
                changed[key] = value
        elif kind is dict:
            if (value or before) and (inner := difference(before, value)):
                below[key] = inner
        elif not _same(before, value):
            changed[key] = value
    return _told(old, new, changed, below)


def flat_difference(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> dict[str, Any]:
    """The same for mappings of what can be hashed and is no boolean, such as versions; far quicker."""
    return {} if old == new else _told(old, new, dict(new.items() - old.items()), {})


def deep_difference(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> dict[str, Any]:
    """The same for mappings of such mappings."""
    if old == new:
        return {}
    changed = {key: value for key, value in new.items() if key not in old}
    below = {key: flat_difference(old[key], value) for key, value in new.items() if key in old and old[key] != value}
    return _told(old, new, changed, below)


def _told(
    old: Mapping[Any, Any], new: Mapping[Any, Any], changed: dict[Any, Any], below: dict[Any, Any]
) -> dict[str, Any]:
    told: dict[str, Any] = {"set": changed} if changed else {}
    if not old.keys() <= new.keys():
        told["drop"] = [key for key in old if key not in new]
    if below:
        told["into"] = below
    return told


def patched(old: Mapping[Any, Any], told: Mapping[str, Any]) -> dict[Any, Any]:
    """The new mapping; the old one stays as it is."""
    made = dict(old)
    for key in told.get("drop", ()):
        del made[key]
    made.update(told.get("set", {}))
    for key, inner in told.get("into", {}).items():
        made[key] = patched(old[key], inner)
    return made


def _same(one: Any, other: Any) -> bool:
    """Whether two values are surely the same; what is not plain data counts as changed."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in _PLAIN:
        return bool(one == other)
    if kind is list or kind is tuple:
        return len(one) == len(other) and all(map(_same, one, other))
    return False
