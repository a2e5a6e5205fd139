"""Channel values as bytes: whole, or as the items of a list or mapping, each encoded for itself."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import ormsgpack

from agent_runtime.state.checkpoints import delta

if TYPE_CHECKING:
    from collections.abc import Callable

    from langgraph.checkpoint.serde.base import SerializerProtocol

Kind = Literal["list", "map"]

_ONE_ITEM = {"list": 0x91, "map": 0x81}
"""First byte of a MessagePack list or map with one item, before the item."""
_NUMBERS = (int, float, bool, type(None))
_MANY_NUMBERS = 64
"""A list of more numbers than that is encoded whole: item by item would take longer than it saves."""
_SLACK = 1024
"""Bytes of changes that may pile up on a small value before it is written whole again."""


@dataclass(frozen=True)
class Whole:
    """A value in one piece; `type` is the serialiser's."""

    type: str
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


@dataclass(frozen=True)
class Items:
    """A list or mapping. `spent` counts the bytes of changes since it was last written whole."""

    kind: Kind
    items: tuple[bytes, ...]
    spent: int = 0

    @property
    def size(self) -> int:
        return sum(map(len, self.items))


Value = Whole | Items


def encode(value: Any, serde: SerializerProtocol) -> Value:
    """A value as bytes; raises what the serialiser raises for what it has no form for."""
    if type(value) is list and value and not (len(value) > _MANY_NUMBERS and isinstance(value[0], _NUMBERS)):
        return Items("list", tuple(_item("list", [item], serde) for item in value))
    if type(value) is dict and value:
        return Items("map", tuple(_item("map", {key: item}, serde) for key, item in value.items()))
    return Whole(*serde.dumps_typed(value))


def decode(value: Value, serde: SerializerProtocol) -> Any:
    """The value again."""
    if isinstance(value, Whole):
        return serde.loads_typed((value.type, value.data))
    return serde.loads_typed(("msgpack", _header(value.kind, len(value.items)) + b"".join(value.items)))


def same(one: Value, other: Value) -> bool:
    """Whether two values have the same content."""
    if isinstance(one, Items) and isinstance(other, Items):
        return one.kind == other.kind and one.items == other.items
    return one == other


def pack_whole(value: Value) -> bytes:
    """A value as it is written where nothing is known of earlier ones."""
    if isinstance(value, Whole):
        return ormsgpack.packb([0, value.type, value.data])
    return ormsgpack.packb([1, value.kind, value.items])


def pack_change(old: Value, new: Value, record: int, end: int) -> tuple[bytes, Items] | None:
    """A value as what changed since `old`, which stands in a record; None where writing it whole is better.

    A value whose changes make up half of it is written whole: reading takes little more than its bytes then, and a
    list that grows is written whole each time that it has doubled.
    """
    if not (isinstance(old, Items) and isinstance(new, Items) and old.kind == new.kind):
        return None
    made = delta.pieces(old.items, new.items)
    cost, size = delta.cost(made), new.size
    if cost * 2 >= size or 2 * (old.spent + cost) > size + _SLACK:
        return None
    return ormsgpack.packb([2, new.kind, record, end, made]), Items(new.kind, new.items, old.spent + cost)


def unpack(packed: bytes, base: Callable[[int, int], Value]) -> Value:
    """A value as it was written; `base` gives the one that a change was made on, by record and segment."""
    tag, first, *rest = ormsgpack.unpackb(packed)
    if tag == 0:
        return Whole(first, rest[0])
    if tag == 1:
        return Items(first, tuple(rest[0]))
    record, end, made = rest
    old = base(record, end)
    if not isinstance(old, Items):
        raise TypeError(f"record {record} holds no items that a change could be made on")
    return Items(first, tuple(delta.assembled(old.items, made)), old.spent + delta.cost(made))


def base_of(packed: bytes) -> tuple[int, int] | None:
    """The record and segment of the value that this one is a change of."""
    tag, _, *rest = ormsgpack.unpackb(packed)
    return (rest[0], rest[1]) if tag == 2 else None  # noqa: PLR2004 - the third of three forms


def no_base(record: int, segment: int) -> Value:
    """For values that stand for themselves, such as writes."""
    raise ValueError(f"a value that stands for itself names record {record} of segment {segment}")


def _item(kind: Kind, only: Any, serde: SerializerProtocol) -> bytes:
    data = serde.dumps_typed(only)[1]
    if data[0] != _ONE_ITEM[kind]:
        raise ValueError("the serialiser does not write MessagePack")
    return data[1:]


def _header(kind: Kind, count: int) -> bytes:
    small, wide = (0x90, 0xDC) if kind == "list" else (0x80, 0xDE)
    if count < 0x10:  # noqa: PLR2004 - by the format
        return bytes([small | count])
    if count < 0x10000:  # noqa: PLR2004 - likewise
        return struct.pack(">BH", wide, count)
    return struct.pack(">BI", wide + 1, count)
