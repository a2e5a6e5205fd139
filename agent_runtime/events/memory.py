"""Events of an agent without `state`: they live and end with the pod."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

from agent_runtime.errors import TooManyRequestsError
from agent_runtime.events.records import Lane
from agent_runtime.runs.encode import dumps
from agent_runtime.state.records import now

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from agent_runtime.events.records import DeadLetter, Entry, Letter

_TWINS = 10_000
"""Events that everybody has got, of which the keys are kept."""
_LETTERS = 1000
"""Dead letters that are kept; then the oldest go."""
_BYTES = 32 << 20
"""Of all events that wait."""


@dataclass
class _Kept:
    entry: Entry
    open: list[str]
    size: int


class MemoryStorage:
    """Everything in dicts; `life` is how long twins of an event are told, in seconds."""

    def __init__(self, life: float) -> None:
        self._life = timedelta(seconds=life)
        self._open: dict[str, _Kept] = {}
        self._closed: OrderedDict[str, datetime] = OrderedDict()
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._letters: dict[str, DeadLetter] = {}
        self._positions = count(1)
        self._size = 0

    async def prepare(self) -> None:
        """Nothing to make."""

    async def add(self, entry: Entry, consumers: Sequence[str]) -> bool:
        self._expire()
        if entry.key in self._open or entry.key in self._closed:
            return False
        if self._size > _BYTES:
            raise TooManyRequestsError("the events that wait fill the pod's memory: come again later", retry_after=5)
        self._keep(replace(entry, position=next(self._positions)), list(consumers))
        return True

    async def backlog(self, owner: str | None = None) -> int:
        return sum(owner in (None, kept.entry.owner) for kept in self._open.values())

    async def lanes(self) -> list[Lane]:
        return list(self._lanes.values())

    async def waiting(
        self, consumer: str, besides: Collection[str], limit: int, *, without: Collection[str] = ()
    ) -> list[str]:
        found: dict[str, None] = {}
        for kept in self._sorted():
            if consumer in kept.open and kept.entry.lane not in besides and kept.entry.owner not in without:
                found[kept.entry.lane] = None
                if len(found) == limit:
                    break
        return list(found)

    async def take(self, consumer: str, lane: str, token: str) -> Lane | None:
        known = self._lanes.get((consumer, lane))
        if known is not None and (known.token or (known.due and known.due > now())):
            return None
        taken = replace(known, token=token, due=None) if known else Lane(consumer, lane, token)
        self._lanes[consumer, lane] = taken
        return taken

    async def renew(self, lanes: Sequence[Lane]) -> set[str]:
        return {lane.token for lane in lanes if self._held(lane)}

    async def free(self, lane: Lane) -> None:
        if self._held(lane):
            del self._lanes[lane.consumer, lane.lane]

    async def put_off(self, lane: Lane) -> None:
        if self._held(lane):
            self._lanes[lane.consumer, lane.lane] = replace(lane, token="")

    async def pending(self, consumer: str, lane: str, limit: int) -> list[Entry]:
        found = [kept.entry for kept in self._sorted() if kept.entry.lane == lane and consumer in kept.open]
        return found[:limit]

    async def done(self, entry: Entry, consumer: str) -> None:
        kept = self._open.get(entry.key)
        if kept is None:
            return
        kept.open = [name for name in kept.open if name != consumer]
        if not kept.open:
            self._close(entry.key)

    async def bury(self, letter: DeadLetter) -> None:
        self._letters[letter.id] = letter
        await self.done(letter.entry, letter.consumer)

    async def letters(self, consumer: str | None, limit: int, after: str) -> list[Letter]:
        ids = sorted(identifier for identifier in self._letters if identifier > after)
        found: Iterator[Letter] = (self._letters[identifier] for identifier in ids)
        return [letter for letter in found if consumer in (None, letter.consumer)][:limit]

    async def letter(self, identifier: str) -> Letter | None:
        return self._letters.get(identifier)

    async def letter_count(self) -> int:
        return len(self._letters)

    async def exhume(self, letter: DeadLetter) -> None:
        kept = self._open.get(letter.entry.key)
        if kept is None:
            self._closed.pop(letter.entry.key, None)
            self._keep(letter.entry, [letter.consumer])
        elif letter.consumer not in kept.open:
            kept.open.append(letter.consumer)
        self._letters.pop(letter.id, None)

    async def discard(self, identifier: str) -> bool:
        return self._letters.pop(identifier, None) is not None

    async def trim(self, most: int) -> int:
        oldest = list(self._letters)[: max(0, len(self._letters) - min(most, _LETTERS))]
        for identifier in oldest:
            del self._letters[identifier]
        return len(oldest)

    async def forget(self, consumers: Collection[str], before: datetime) -> int:
        gone = 0
        for kept in [one for one in self._open.values() if one.entry.accepted_at < before]:
            for name in [name for name in kept.open if name not in consumers]:
                await self.done(kept.entry, name)
                gone += 1
        return gone

    def _sorted(self) -> list[_Kept]:
        return sorted(self._open.values(), key=lambda kept: kept.entry.position)

    def _keep(self, entry: Entry, consumers: list[str]) -> None:
        size = len(dumps(entry.event.as_json))
        self._open[entry.key] = _Kept(entry, consumers, size)
        self._size += size
        if not consumers:
            self._close(entry.key)

    def _close(self, key: str) -> None:
        self._size -= self._open.pop(key).size
        self._closed[key] = now() + self._life
        self._expire()

    def _expire(self) -> None:
        while self._closed:
            key, until = next(iter(self._closed.items()))
            if len(self._closed) <= _TWINS and until > now():
                return
            del self._closed[key]

    def _held(self, lane: Lane) -> bool:
        known = self._lanes.get((lane.consumer, lane.lane))
        return known is not None and known.token == lane.token
