"""Items in the pod's memory, which end with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langgraph.store.base import GetOp, Item, ListNamespacesOp, PutOp, SearchItem, SearchOp

from agent_runtime.errors import UnavailableError
from agent_runtime.items.base import Items, expiry
from agent_runtime.items.match import check_filter, chosen, fits
from agent_runtime.plain import weight
from agent_runtime.runs.encode import plain
from agent_runtime.state.records import now

if TYPE_CHECKING:
    from datetime import datetime

    Place = tuple[tuple[str, ...], str]

_ROOM = 16 << 20
"""Bytes of all items."""
_OVERHEAD = 512


@dataclass(frozen=True)
class _Kept:
    item: Item
    size: int
    ttl: float | None
    """Minutes since the last use."""
    expires_at: datetime | None


class MemoryItems(Items):
    """As many items as there is room for; a further one is refused."""

    def __init__(self, room: int = _ROOM) -> None:
        super().__init__()
        self._room = room
        self._size = 0
        self._kept: dict[Place, _Kept] = {}

    async def fetch(self, asked: GetOp) -> Item | None:
        self._forget_expired()
        place = (tuple(asked.namespace), asked.key)
        if (kept := self._kept.get(place)) is None:
            return None
        if asked.refresh_ttl:
            self._refresh(place)
        return kept.item

    async def find(self, asked: SearchOp, *, sealed: bool = False) -> list[SearchItem]:  # noqa: ARG002
        check_filter(asked.filter)
        self._forget_expired()
        prefix = tuple(asked.namespace_prefix)
        found = [
            kept.item
            for (namespace, _), kept in self._kept.items()
            if namespace[: len(prefix)] == prefix and fits(kept.item.value, asked.filter)
        ]
        found.sort(key=lambda item: item.updated_at, reverse=True)
        chosen_items = found[asked.offset : asked.offset + asked.limit]
        if asked.refresh_ttl:
            for item in chosen_items:
                self._refresh((item.namespace, item.key))
        return [SearchItem(**_fields(item)) for item in chosen_items]

    async def keep(self, asked: PutOp) -> None:
        self._forget_expired()
        place = (tuple(asked.namespace), asked.key)
        old = self._kept.get(place)
        if asked.value is None:
            self._remove(place)
            return
        value = plain(asked.value)
        moment, size = now(), weight(value) + _OVERHEAD
        if self._size + size - (old.size if old else 0) > self._room:
            raise UnavailableError(
                f"the pod keeps {self._room >> 20} MiB of items in memory, and they are full: delete some, or keep "
                "them in MongoDB (`state`)"
            )
        self._remove(place)
        item = Item(
            value=value,
            key=asked.key,
            namespace=place[0],
            created_at=old.item.created_at if old else moment,
            updated_at=moment,
        )
        self._kept[place] = _Kept(item, size, asked.ttl, expiry(asked.ttl, moment))
        self._size += size

    async def spaces(self, asked: ListNamespacesOp) -> list[tuple[str, ...]]:
        self._forget_expired()
        return chosen({namespace for namespace, _ in self._kept}, asked)

    def _refresh(self, place: Place) -> None:
        kept = self._kept[place]
        self._kept[place] = _Kept(kept.item, kept.size, kept.ttl, expiry(kept.ttl, now()))

    def _forget_expired(self) -> None:
        moment = now()
        for place in [at for at, kept in self._kept.items() if kept.expires_at and kept.expires_at <= moment]:
            self._remove(place)

    def _remove(self, place: Place) -> None:
        if kept := self._kept.pop(place, None):
            self._size -= kept.size


def _fields(item: Item) -> dict[str, Any]:
    return {name: getattr(item, name) for name in ("value", "key", "namespace", "created_at", "updated_at")}
