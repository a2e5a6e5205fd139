"""A log's newest part as it stands in the head, and what is to be added to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import ormsgpack

from agent_runtime.state.checkpoints import archive, chapter, frame, values
from agent_runtime.state.checkpoints.chapter import Chapter
from agent_runtime.state.checkpoints.frame import Frame, Ref
from agent_runtime.state.checkpoints.records import CheckpointRecord, Record, Stored, WritesRecord, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langgraph.checkpoint.serde.base import SerializerProtocol

    from agent_runtime.state.checkpoints.values import Value

INLINE = 8 << 10
"""Bytes of a packed value that stand in the head; larger ones become blobs."""
HEAD_BYTES = 16 << 10
"""Bytes of records in a head, above which they are archived: a server rewrites a document as a whole."""
HEAD_RECORDS = 32
_DEPTH = 24
_PER_SEGMENT = 8 << 10
"""Reading a value may take so many segments, and one more for so many of its bytes."""


@dataclass(frozen=True)
class Checkpointed:
    """A checkpoint to add."""

    frame: Frame
    """Without references."""
    changed: Mapping[str, Value]
    """Values of the channels that were written since the parent."""
    others: Mapping[str, Any]
    """All other values, for those that the parent does not have."""


@dataclass(frozen=True)
class Written:
    """What a task wrote, to add: index, channel and value of each write."""

    checkpoint: str
    task: str
    path: str
    writes: Sequence[tuple[int, str, Value]]


@dataclass(frozen=True)
class Tail:
    """The head of a log as it is known here."""

    next: int = 0
    """Number of the next record."""
    first: int = 0
    """Number of the head's first record, and of the segment before it."""
    floor: int = 0
    """Segments up to this one are no longer part of the log."""
    count: int = 0
    """Checkpoints of the log, hidden ones too."""
    base: bytes | None = None
    """The frame before the first record, encoded."""
    plain: Mapping[int, bytes] = field(default_factory=dict)
    """The records, encoded."""
    head: Chapter = field(default_factory=lambda: Chapter(0))
    writes_in: tuple[int, ...] = ()
    """Segments with writes of the newest checkpoint."""
    writes: chapter.Writes = field(default_factory=dict)
    """Those writes."""
    values: Mapping[str, Value] = field(default_factory=dict)
    """Of the newest checkpoint."""

    size: int = 0
    """Bytes of the records."""

    @property
    def newest(self) -> Frame | None:
        """The newest checkpoint."""
        return self.head.newest

    @property
    def full(self) -> bool:
        """Whether the records should be archived before others are added."""
        return self.size > HEAD_BYTES or len(self.plain) >= HEAD_RECORDS

    def stands_for(self, other: Tail) -> bool:
        """Whether the other one, of which only the head was read, is this one with all its values."""
        complete = self.newest is not None and self.newest.refs.keys() == self.values.keys()
        return complete and _head(self) == _head(other)

    def archived(self, serde: SerializerProtocol) -> Tail:
        """The head after its records were archived."""
        end, newest = self.next, self.newest
        moved = newest.archived(end) if newest else None
        written = bool(newest and self.head.writes.get(newest.id))
        same = self.head.base is not None and newest is not None and self.head.base.id == newest.id
        before = self.writes_in if same else ()
        return replace(
            self,
            first=end,
            base=frame.dump(moved, None, serde) if moved else None,
            plain={},
            size=0,
            head=Chapter(0, moved),
            writes_in=(*before, end) if written else before,
            writes=self.writes_of(newest.id) if newest else {},
        )

    def writes_of(self, checkpoint: str) -> chapter.Writes:
        """The writes of a checkpoint that the head knows of."""
        here = self.head.writes.get(checkpoint, {})
        of_base = self.head.base is not None and self.head.base.id == checkpoint
        return chapter.merged([self.writes, here]) if of_base else here


def _head(tail: Tail) -> tuple[Any, ...]:
    return tail.next, tail.first, tail.floor, tail.count, tail.base, dict(tail.plain)


class Draft:
    """A tail with additions that are not written yet."""

    def __init__(self, start: Tail, serde: SerializerProtocol, digest_key: bytes = b"") -> None:
        head = start.head
        self._start = start
        self._serde = serde
        self._digest_key = digest_key
        self._head = Chapter(0, head.base, dict(head.records), dict(head.frames), dict(head.writes))
        self._next = start.next
        self._count = start.count
        self._values = start.values
        self.added: dict[int, bytes] = {}
        """The new records, encoded."""
        self.blobs: dict[str, bytes] = {}
        """What has to be written before the records."""

    @property
    def newest(self) -> Frame | None:
        """The newest checkpoint."""
        return self._head.newest

    @property
    def tail(self) -> Tail:
        """The tail with the additions."""
        start = self._start
        return Tail(
            self._next,
            start.first,
            start.floor,
            self._count,
            start.base,
            {**start.plain, **self.added},
            self._head,
            start.writes_in,
            start.writes,
            self._values,
            start.size + sum(map(len, self.added.values())),
        )

    @property
    def full(self) -> bool:
        """Whether the records should be archived before others are added."""
        return self.tail.full

    def put(self, new: Checkpointed, parent: Frame | None) -> None:
        """Adds a checkpoint; raises what the serialiser raises."""
        newest = self.newest
        known = self._values if parent is not None and newest is not None and parent.id == newest.id else {}
        refs = _kept(new, parent)
        told = {channel: known[channel] for channel in refs if channel in known}
        stored: dict[str, Stored] = {}
        for channel, value in self._fresh(new, refs).items():
            old, before = known.get(channel), parent.refs.get(channel) if parent else None
            if old is not None and before is not None and values.same(old, value):
                refs[channel], told[channel] = before, old
                continue
            change = None
            if old is not None and before is not None and len(before.segments) < _DEPTH + value.size // _PER_SEGMENT:
                change = values.pack_change(old, value, before.record, before.segment)
            packed, told[channel] = change or (values.pack_whole(value), value)
            stored[channel] = kept = self._place(packed)
            based = before if change and before else Ref(0)
            own = () if isinstance(kept, bytes) else (kept,)
            refs[channel] = Ref(self._next, 0, based.segments, (*based.blobs, *own))
        frame_ = Frame(new.frame.checkpoint, new.frame.metadata, new.frame.parent, refs, new.frame.hidden)
        self._add(CheckpointRecord(frame.dump(frame_, newest, self._serde), stored))
        # Written again, a checkpoint counts as newest.
        self._head.frames.pop(frame_.id, None)
        self._head.frames[frame_.id] = frame_
        self._values = told if refs.keys() == told.keys() else {}
        self._count += 1

    def write(self, new: Written) -> None:
        """Adds what a task wrote."""
        writes = tuple((at, channel, self._place(values.pack_whole(value))) for at, channel, value in new.writes)
        record = WritesRecord(new.checkpoint, new.task, new.path, writes)
        self._add(record)
        # The tail that this began with keeps its own.
        found = self._head.writes[new.checkpoint] = dict(self._head.writes.get(new.checkpoint, {}))
        chapter.add(found, record)

    def _fresh(self, new: Checkpointed, refs: Mapping[str, Ref]) -> dict[str, Value]:
        versions = new.frame.checkpoint["channel_versions"]
        missing = [name for name in new.others if name not in refs and name in versions]
        return {**new.changed, **{name: values.encode(new.others[name], self._serde) for name in missing}}

    def _place(self, packed: bytes) -> Stored:
        if len(packed) <= INLINE:
            return packed
        digest = archive.digest_of(packed, self._digest_key)
        self.blobs[digest] = packed
        return digest, len(archive.cut(packed))

    def _add(self, record: Record) -> None:
        self._head.records[self._next] = record
        self.added[self._next] = record.pack()
        self._next += 1


def _kept(new: Checkpointed, parent: Frame | None) -> dict[str, Ref]:
    """Where the values stand that are those of the parent."""
    if parent is None:
        return {}
    versions, before = new.frame.checkpoint["channel_versions"], parent.checkpoint["channel_versions"]
    return {
        channel: ref
        for channel, ref in parent.refs.items()
        if channel not in new.changed and channel in versions and versions[channel] == before.get(channel)
    }


def opened(document: Mapping[str, Any], open_: Callable[[bytes, str], bytes], serde: SerializerProtocol) -> Tail:
    """The tail that a head's document tells; values and earlier writes come from the archive."""
    name = document["_id"]
    base, writes_in = None, []
    if sealed := document.get("base"):
        base, writes_in = ormsgpack.unpackb(open_(sealed, place(name, document["first"], "base")))
    numbers = sorted(map(int, document["records"]))
    plain = {at: open_(document["records"][str(at)], place(name, at, "record")) for at in numbers}
    decoded = frame.load(base, None, serde) if base else None
    head = chapter.read(0, decoded, [(at, unpack(data)) for at, data in plain.items()], serde)
    return Tail(
        next=document["next"],
        first=document["first"],
        floor=document["floor"],
        count=document["count"],
        base=base,
        plain=plain,
        size=sum(map(len, plain.values())),
        head=head,
        writes_in=tuple(writes_in),
    )


def place(name: str, number: int, kind: str) -> str:
    """What binds a sealed part of a head to where it stands."""
    return f"{name}#{kind}#{number}"
