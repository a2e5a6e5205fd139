"""What a log consists of: checkpoints, and writes of tasks, numbered in the order they were made in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import ormsgpack

Stored = bytes | tuple[str, int]
"""A packed value, or the digest and the number of chunks of the blob that holds it."""


@dataclass(frozen=True)
class CheckpointRecord:
    """A checkpoint: its frame as what changed since the one before in the log, and the values that are new in it."""

    frame: bytes
    values: dict[str, Stored] = field(default_factory=dict)

    def pack(self) -> bytes:
        return ormsgpack.packb([0, self.frame, self.values])


@dataclass(frozen=True)
class WritesRecord:
    """What a task wrote: channel, index and packed value of each write."""

    checkpoint: str
    task: str
    path: str
    writes: tuple[tuple[int, str, Stored], ...]

    def pack(self) -> bytes:
        return ormsgpack.packb([1, self.checkpoint, self.task, self.path, self.writes])


Record = CheckpointRecord | WritesRecord


def unpack(data: bytes) -> Record:
    """A record again."""
    tag, *rest = ormsgpack.unpackb(data)
    if tag == 0:
        frame, values = rest
        return CheckpointRecord(frame, {channel: _stored(value) for channel, value in values.items()})
    checkpoint, task, path, writes = rest
    return WritesRecord(checkpoint, task, path, tuple((at, channel, _stored(value)) for at, channel, value in writes))


def blobs_of(record: Record) -> list[tuple[str, int]]:
    """The blobs that a record names."""
    stored: list[Any] = (
        list(record.values.values())
        if isinstance(record, CheckpointRecord)
        else [value for _, _, value in record.writes]
    )
    return [value for value in stored if not isinstance(value, bytes)]


def _stored(value: Any) -> Stored:
    return value if isinstance(value, bytes) else (value[0], value[1])
