"""What a log tells of earlier checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_runtime.state.checkpoints import chapter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from agent_runtime.state.checkpoints.archive import Archive
    from agent_runtime.state.checkpoints.chapter import Chapter, Writes
    from agent_runtime.state.checkpoints.frame import Frame
    from agent_runtime.state.checkpoints.keys import LogKey
    from agent_runtime.state.checkpoints.tail import Tail
    from agent_runtime.state.checkpoints.values import Value


class History:
    """Reads a log backwards from its head, only as far as is asked for."""

    def __init__(self, key: LogKey, tail: Tail, archive: Archive) -> None:
        self._key = key
        self._tail = tail
        self._archive = archive
        archive.chapters[0] = tail.head
        archive.floor = tail.floor
        self._read: list[Chapter] = [tail.head]
        """Without a gap, the newest first."""
        self._complete = tail.first <= tail.floor

    async def chapters(self) -> AsyncIterator[Chapter]:
        """The head and all segments, the newest first."""
        at = 0
        while at < len(self._read) or await self._more():
            yield self._read[at]
            at += 1

    async def frames(self) -> AsyncIterator[Frame]:
        """All checkpoints, the newest first, each once; hidden ones too."""
        seen: set[str] = set()
        async for part in self.chapters():
            for found in reversed(part.frames.values()):
                if found.id not in seen:
                    seen.add(found.id)
                    yield _placed(found, part)

    async def frame(self, name: str) -> Frame | None:
        """The checkpoint of this id."""
        for part in self._read:
            if found := part.frames.get(name):
                return _placed(found, part)
        if self._complete:
            return None
        for part in await self._archive.about(name, self._tail.floor):
            if found := part.frames.get(name):
                return _placed(found, part)
        return None

    async def values(self, frame: Frame, segments: Iterable[int] = ()) -> dict[str, Value]:
        """The values of a checkpoint; `segments` are read with them."""
        refs = frame.refs
        await self._archive.fetch(refs.values(), segments)
        return {channel: self._archive.value(channel, ref.record, ref.segment) for channel, ref in refs.items()}

    async def writes(self, name: str) -> list[tuple[chapter.Write, bytes]]:
        """What tasks wrote at a checkpoint, in LangGraph's order, with the packed values."""
        parts = [self._tail.writes_of(name)]
        if not self._newest_known(name):
            older = self._read[1:] if self._complete else await self._archive.about(name, self._tail.floor)
            parts += [part.writes.get(name, {}) for part in older]
        return await self._packed(chapter.merged(reversed(parts)))

    def writes_in(self, segments: Iterable[int], name: str) -> Writes:
        """What tasks wrote at a checkpoint, as far as these segments tell; they must have been read."""
        return chapter.merged(self._archive.chapters[end].writes.get(name, {}) for end in segments)

    async def read_writes(self, name: str) -> list[tuple[chapter.Write, bytes]]:
        """What tasks wrote at a checkpoint, as far as was read up to now: complete once a checkpoint before it was."""
        parts = [part.writes.get(name, {}) for part in self._read]
        return await self._packed(chapter.merged([*reversed(parts), self._tail.writes_of(name)]))

    async def _packed(self, writes: Writes) -> list[tuple[chapter.Write, bytes]]:
        ordered = chapter.in_order(writes)
        await self._archive.fetch((), (), ordered)
        return [(write, self._archive.packed(write)) for write in ordered]

    def _newest_known(self, name: str) -> bool:
        newest = self._tail.newest
        # The tail knows all writes of its newest checkpoint, and of those that began in the head.
        return newest is not None and name == newest.id

    async def _more(self) -> bool:
        if self._complete:
            return False
        # What a refused writer archived ends anywhere, and holds records of the log that others hold too.
        found = await self._archive.older(self._read[-1].end or self._tail.first + 1, self._tail.floor)
        self._read += found
        self._complete = not found
        return bool(found)


def _placed(frame: Frame, part: Chapter) -> Frame:
    return frame.archived(part.end) if part.end else frame
