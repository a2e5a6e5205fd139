"""Consecutive records of a log, read: those of its head, or of an archived segment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from langgraph.checkpoint.base import PendingWrite, writes_sort_key
from langgraph.checkpoint.serde.base import SerializerProtocol

from agent_runtime.state.checkpoints import frame as frames
from agent_runtime.state.checkpoints import values
from agent_runtime.state.checkpoints.frame import Frame
from agent_runtime.state.checkpoints.records import CheckpointRecord, Record, Stored, WritesRecord


class Write(NamedTuple):
    """One write of a task."""

    task: str
    path: str
    at: int
    channel: str
    value: Stored


Writes = Mapping[tuple[str, int], Write]
"""By task and index."""


@dataclass
class Chapter:
    """`base` is the newest frame before the first record."""

    end: int
    """The segment's number; 0 for the head."""
    base: Frame | None = None
    records: dict[int, Record] = field(default_factory=dict)
    frames: dict[str, Frame] = field(default_factory=dict)
    """By id, in the order they were written in."""
    writes: dict[str, dict[tuple[str, int], Write]] = field(default_factory=dict)
    """By checkpoint."""

    @property
    def newest(self) -> Frame | None:
        """The newest frame up to the last record."""
        return next(reversed(self.frames.values()), self.base)

    @property
    def ids(self) -> list[str]:
        """All checkpoints that something is said of."""
        return sorted(self.frames.keys() | self.writes.keys())


def read(end: int, base: Frame | None, records: Iterable[tuple[int, Record]], serde: SerializerProtocol) -> Chapter:
    """The chapter that the records, in their order, are."""
    chapter = Chapter(end, base)
    for number, record in records:
        chapter.records[number] = record
        if isinstance(record, CheckpointRecord):
            found = frames.load(record.frame, chapter.newest, serde)
            # Written again, a checkpoint counts as newest.
            chapter.frames.pop(found.id, None)
            chapter.frames[found.id] = found
        else:
            add(chapter.writes.setdefault(record.checkpoint, {}), record)
    return chapter


def add(writes: dict[tuple[str, int], Write], record: WritesRecord) -> None:
    """Adds what a task wrote; LangGraph's special writes replace earlier ones, all others count once."""
    for index, channel, value in record.writes:
        if index < 0 or (record.task, index) not in writes:
            writes[record.task, index] = Write(record.task, record.path, index, channel, value)


def merged(parts: Iterable[Writes]) -> dict[tuple[str, int], Write]:
    """Writes of one checkpoint from several chapters, the oldest first."""
    made: dict[tuple[str, int], Write] = {}
    for part in parts:
        made |= {key: write for key, write in part.items() if key[1] < 0 or key not in made}
    return made


def in_order(writes: Writes) -> list[Write]:
    """In the order in which LangGraph applies them."""
    return sorted(writes.values(), key=lambda write: writes_sort_key(write.path, write.task, write.at))


def pending(write: Write, packed: bytes, serde: SerializerProtocol) -> PendingWrite:
    """A write as LangGraph takes it."""
    return write.task, write.channel, values.decode(values.unpack(packed, values.no_base), serde)
