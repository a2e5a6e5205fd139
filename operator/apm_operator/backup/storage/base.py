"""What a storage of backups can do, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from apm_operator.backup.errors import Damaged, StorageError

SMALL = 16 << 20
"""Bytes of the largest manifest, of some ten thousand collections: what is larger would not fit the Job's memory."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Something in the storage.

    Attributes:
        key: its name, without the storage's folder or prefix.
        size: bytes.
        modified: by the storage's clock, with time zone.
        pending: it was never published: left by a Job that was killed, or being written right now.
    """

    key: str
    size: int
    modified: datetime
    pending: bool


def checked(key: str) -> str:
    """A key that can't lead out of the storage's folder or prefix.

    Raises:
        StorageError: it could.
    """
    if key in {"", ".", ".."} or "/" in key or "\0" in key:
        raise StorageError(f"{key!r} is no name of something in a storage")
    return key


def whole(source: BinaryIO, key: str) -> bytes:
    """All of something small.

    Raises:
        Damaged: it is larger than `SMALL`.
    """
    data = source.read(SMALL + 1)
    if len(data) > SMALL:
        raise Damaged(f"{key} has more than {SMALL >> 20} MiB, which no manifest may have")
    return data


class Sink(Protocol):
    """Something large that is being written; nobody sees it under its name before it is published."""

    def write(self, data: bytes | memoryview) -> int:
        """Take in the next bytes; blocks while the storage is slow."""

    def finish(self) -> None:
        """Make durable what was written; it can be read by `read_pending` then, and published."""

    def abort(self) -> None:
        """Leave nothing of it, as far as the storage can still be reached. Never raises."""


class Storage(Protocol):
    """Files or objects by key. All methods raise StorageError or one of its kinds."""

    def list(self) -> Iterator[Stored]:
        """Everything that lies here, in no certain order."""

    def folders(self) -> Iterator[str]:
        """Names of the folders (or next parts of the keys) below this one: other policies' or namespaces'."""

    def now(self) -> datetime:
        """What time it is by the clock that `Stored.modified` is of."""

    def read(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Read something published, from its beginning, in a stream.

        Raises:
            Missing: there is nothing of that name.
        """

    def create(self, key: str) -> Sink:
        """Begin to write something large. What an earlier try left pending, or without a manifest, gives way.

        Raises:
            Exists: something of that name is published.
        """

    def read_pending(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Read from the storage itself, not from a cache of the writer, what `finish` has made durable."""

    def publish(self, key: str) -> None:
        """Give it its name, durably.

        Raises:
            Exists: something of that name is there already.
        """

    def put(self, key: str, data: bytes, *, replace: bool = False) -> None:
        """Write something small, whole or not at all, durably.

        Raises:
            Exists: it is there and `replace` is not set.
        """

    def get(self, key: str) -> bytes:
        """Something small, whole.

        Raises:
            Missing: there is nothing of that name.
            Damaged: it is larger than `SMALL`.
        """

    def remove(self, key: str, *, pending: bool = False) -> None:
        """Remove it, durably; nothing happens where it is gone already."""
