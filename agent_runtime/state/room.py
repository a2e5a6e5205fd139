"""How much is kept in memory, and whose conversations make room for others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Room:
    """How much is kept. Beyond it the threads that were not used for longest go, of whoever holds most."""

    threads: int = 1000
    size: int = 64 << 20
    """Bytes."""


DEFAULT = Room()


@dataclass
class _Share:
    threads: int = 0
    size: int = 0
    idle: list[tuple[str, int]] = field(default_factory=list)
    """Threads that can go, with their bytes, the one that was not used for longest first."""


class Shares:
    """What each owner holds, while `asking` needs room.

    Nobody loses anything to somebody who holds more: else one caller's many threads would push out all others.
    """

    def __init__(self, room: Room, asking: str | None) -> None:
        """`asking` is None where nobody in particular needs the room: then everybody's threads can go."""
        self._room = room
        self._asking = asking
        self._held: dict[str, _Share] = defaultdict(_Share)

    def add(self, owner: str, size: int, *, threads: int = 1, idle: str | None = None) -> None:
        """Count what an owner holds or is to hold; `idle` names a thread that can go."""
        share = self._held[owner]
        share.threads += threads
        share.size += size
        if idle is not None:
            share.idle.append((idle, size))

    def yields(self, owner: str) -> bool:
        """Whether what this owner holds may have to go now."""
        return owner == self._asking or self._weight(owner) >= self._least

    def leaving(self) -> Iterator[str]:
        """The threads to forget, one by one; each counts as forgotten."""
        while owners := [owner for owner, share in self._held.items() if share.idle and self.yields(owner)]:
            largest = max(owners, key=lambda owner: (self._weight(owner), owner == self._asking))
            share = self._held[largest]
            name, size = share.idle.pop(0)
            share.threads -= 1
            share.size -= size
            yield name

    @property
    def _least(self) -> float:
        return 0.0 if self._asking is None else self._weight(self._asking)

    def _weight(self, owner: str) -> float:
        """The part of the room that an owner takes, by what it takes most of."""
        share = self._held[owner]
        return max(share.threads / self._room.threads, share.size / self._room.size)
