"""What every storage of backups has to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from apm_operator.backup.errors import Exists, Missing, StorageError
from apm_operator.backup.storage.s3 import Upload

if TYPE_CHECKING:
    from apm_operator.backup.storage.base import Storage

LARGE = bytes(range(256)) * (45 << 10)
"""11.25 MiB: more than two parts of a multipart upload."""


def keys(storage: Storage, *, pending: bool) -> set[str]:
    return {each.key for each in storage.list() if each.pending is pending}


def write(storage: Storage, key: str, data: bytes = LARGE) -> None:
    sink = storage.create(key)
    for start in range(0, len(data), 100_000):
        assert sink.write(memoryview(data)[start : start + 100_000]) == min(100_000, len(data) - start)
    sink.finish()


def read(storage: Storage, key: str) -> bytes:
    with storage.read(key) as source:
        return b"".join(iter(lambda: source.read(1 << 16), b""))


def nothing_lies_in_a_new_one(storage: Storage) -> None:
    assert list(storage.list()) == []
    assert list(storage.folders()) == []
    with pytest.raises(Missing, match="n1"):
        storage.get("n1")
    with pytest.raises(Missing, match="n1"), storage.read("n1"):
        pass


def large_data_have_no_manifest_until_it_is_put(storage: Storage) -> None:
    sink = storage.create("n1.archive.gz")
    sink.write(LARGE)
    sink.finish()
    with storage.read_pending("n1.archive.gz") as source:
        assert b"".join(iter(lambda: source.read(70_000), b"")) == LARGE
    storage.publish("n1.archive.gz")
    storage.put("n1.manifest.json", b"{}")
    assert keys(storage, pending=False) == {"n1.archive.gz", "n1.manifest.json"}
    assert read(storage, "n1.archive.gz") == LARGE
    assert storage.get("n1.manifest.json") == b"{}"
    assert {each.key: each.size for each in storage.list()} == {"n1.archive.gz": len(LARGE), "n1.manifest.json": 2}


def an_empty_one_is_possible(storage: Storage) -> None:
    write(storage, "n1", b"")
    storage.publish("n1")
    assert read(storage, "n1") == b""


def nothing_is_left_of_what_was_given_up(storage: Storage) -> None:
    sink = storage.create("n1.archive.gz")
    sink.write(LARGE)
    sink.abort()
    sink.abort()
    assert list(storage.list()) == []
    sink = storage.create("n1.archive.gz")
    sink.write(LARGE)
    sink.finish()
    sink.abort()
    assert list(storage.list()) == []


def what_an_earlier_try_left_gives_way(storage: Storage) -> None:
    earlier = storage.create("n1.archive.gz")
    earlier.write(LARGE)
    write(storage, "n1.archive.gz", b"new")
    earlier.abort()
    storage.publish("n1.archive.gz")
    storage.put("n1.manifest.json", b"{}")
    assert read(storage, "n1.archive.gz") == b"new"
    assert keys(storage, pending=True) == set()


def data_without_manifest_give_way(storage: Storage) -> None:
    write(storage, "n1.archive.gz", b"old")
    storage.publish("n1.archive.gz")
    write(storage, "n1.archive.gz", b"new")
    storage.publish("n1.archive.gz")
    storage.put("n1.manifest.json", b"{}")
    with pytest.raises(Exists, match="n1"):
        storage.create("n1.archive.gz")
    assert read(storage, "n1.archive.gz") == b"new"


def nothing_is_overwritten(storage: Storage) -> None:
    storage.put("n1", b"old")
    with pytest.raises(Exists, match="n1"):
        storage.put("n1", b"new")
    with pytest.raises(Exists, match="n1"):
        storage.create("n1")
    assert storage.get("n1") == b"old"


def what_is_replaced_is_whole(storage: Storage) -> None:
    storage.put("n1.verdict.json", b"old", replace=True)
    storage.put("n1.verdict.json", b"new", replace=True)
    assert storage.get("n1.verdict.json") == b"new"
    assert keys(storage, pending=True) == set()


def what_is_removed_is_gone(storage: Storage) -> None:
    storage.put("n1", b"1")
    storage.put("n12", b"2")
    storage.remove("n1")
    storage.remove("n1")
    assert keys(storage, pending=False) == {"n12"}


def pending_data_are_removed_by_their_key(storage: Storage) -> None:
    write(storage, "n1.archive.gz")
    [left] = storage.list()
    storage.remove(left.key, pending=left.pending)
    assert list(storage.list()) == []


def what_was_being_written_can_be_found_and_removed(storage: Storage) -> None:
    sink = storage.create("n1.archive.gz")
    sink.write(LARGE)
    if isinstance(sink, Upload):
        sink._wait()  # who wrote is gone; a part that still comes could begin anew what is removed
    [left] = storage.list()
    assert (left.key, left.pending) == ("n1.archive.gz", True)
    storage.remove(left.key, pending=True)
    assert list(storage.list()) == []
    sink.abort()


def a_key_leads_nowhere_else(storage: Storage) -> None:
    for key in ("", "..", "../n1", "a/n1", "a\0"):
        with pytest.raises(StorageError, match="no name"):
            storage.get(key)
        with pytest.raises(StorageError, match="no name"):
            storage.put(key, b"")
        with pytest.raises(StorageError, match="no name"):
            storage.remove(key)


def it_tells_the_time(storage: Storage) -> None:
    before = storage.now()
    storage.put("n1", b"")
    [stored] = storage.list()
    assert abs(storage.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert before - timedelta(seconds=2) <= stored.modified <= storage.now() + timedelta(seconds=2)


CONTRACT = (
    nothing_lies_in_a_new_one,
    large_data_have_no_manifest_until_it_is_put,
    an_empty_one_is_possible,
    nothing_is_left_of_what_was_given_up,
    what_an_earlier_try_left_gives_way,
    data_without_manifest_give_way,
    nothing_is_overwritten,
    what_is_replaced_is_whole,
    what_is_removed_is_gone,
    pending_data_are_removed_by_their_key,
    what_was_being_written_can_be_found_and_removed,
    a_key_leads_nowhere_else,
    it_tells_the_time,
)
