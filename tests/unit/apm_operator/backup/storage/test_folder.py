from __future__ import annotations

import errno
import os
import resource
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from apm_operator.backup.errors import Exists, Missing, StorageError, StorageFull
from apm_operator.backup.storage.folder import Folder
from fakes.storage_contract import CONTRACT, keys, read, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apm_operator.backup.storage.base import Storage


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "backups" / "shop" / "nightly")


@pytest.fixture
def small() -> Iterator[int]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_contract(folder: Folder, check: Callable[[Storage], None]):
    check(folder)


def test_nobody_sees_it_before_it_is_published(folder: Folder):
    write(folder, "n1", b"data")
    assert keys(folder, pending=True) == {"n1"}
    with pytest.raises(Missing), folder.read("n1"):
        pass
    folder.publish("n1")
    assert read(folder, "n1") == b"data"


@pytest.mark.parametrize("refused", [None, errno.EPERM, errno.EOPNOTSUPP])
def test_publishing_never_overwrites(folder: Folder, tmp_path: Path, monkeypatch, refused):
    write(folder, "n1", b"new")
    (tmp_path / "backups/shop/nightly/n1").write_bytes(b"old")
    if refused:
        monkeypatch.setattr(os, "link", refusing(refused))
    with pytest.raises(Exists, match="n1"):
        folder.publish("n1")
    assert folder.get("n1") == b"old"
    assert keys(folder, pending=True) == {"n1"}


def test_a_file_system_without_links_will_do(folder: Folder, monkeypatch):
    monkeypatch.setattr(os, "link", refusing(errno.EPERM))
    write(folder, "n1", b"data")
    folder.publish("n1")
    folder.put("n2", b"small")
    assert keys(folder, pending=False) == {"n1", "n2"}
    assert keys(folder, pending=True) == set()


def test_a_name_that_was_linked_and_not_unlinked_loses_only_its_partial_one(folder: Folder, tmp_path: Path):
    write(folder, "n1", b"data")
    here = tmp_path / "backups/shop/nightly"
    os.link(here / "n1.partial", here / "n1")
    folder.remove("n1", pending=True)
    assert read(folder, "n1") == b"data"


def test_a_writer_who_is_late_removes_nothing_of_the_next_one(folder: Folder):
    late = folder.create("n1")
    write(folder, "n1", b"data")
    late.abort()
    folder.publish("n1")
    assert read(folder, "n1") == b"data"


def test_files_and_folders_are_for_their_owner(folder: Folder, tmp_path: Path):
    write(folder, "n1", b"data")
    folder.publish("n1")
    assert (tmp_path / "backups/shop/nightly/n1").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "backups/shop/nightly").stat().st_mode & 0o777 == 0o700


def test_links_are_no_way_out(folder: Folder, tmp_path: Path):
    folder.put("n1", b"")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    here = tmp_path / "backups/shop/nightly"
    (here / "n2.partial").symlink_to(victim)
    (here / "n3").symlink_to(victim)
    (here / "elsewhere").symlink_to(tmp_path)
    assert {each.key for each in folder.list()} == {"n1"}
    assert list(folder.folders()) == []
    write(folder, "n2", b"new")
    assert victim.read_bytes() == b"precious"


def test_links_and_pipes_are_not_read(folder: Folder, tmp_path: Path):
    folder.put("there.manifest.json", b"{}")
    here = tmp_path / "backups/shop/nightly"
    (here / "link").symlink_to(here / "there.manifest.json")
    os.mkfifo(here / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(StorageError, match=f"can't read {name}"):
            folder.get(name)


def test_folders_below_are_named(tmp_path: Path):
    Folder(tmp_path / "shop" / "nightly").put("n1", b"")
    Folder(tmp_path / "clinic" / "nightly").put("n1", b"")
    assert list(Folder(tmp_path).folders()) == ["clinic", "shop"]
    assert list(Folder(tmp_path).list()) == []


def test_full_while_writing(folder: Folder, small: int):
    sink = folder.create("n1")
    sink.write(bytes(small - 1))
    with pytest.raises(StorageFull, match="no space is left to write n1"):
        sink.write(bytes(2))
    sink.abort()
    assert list(folder.list()) == []


def test_full_while_putting(folder: Folder, small: int):
    folder.put("n1", b"old")
    with pytest.raises(StorageFull):
        folder.put("n1", bytes(2 * small), replace=True)
    assert folder.get("n1") == b"old"
    assert keys(folder, pending=True) == set()


def test_full_while_syncing(folder: Folder, monkeypatch):
    sink = folder.create("n1")
    sink.write(b"data")
    monkeypatch.setattr(os, "fsync", refusing(errno.ENOSPC))
    with pytest.raises(StorageFull):
        sink.finish()
    sink.abort()


@pytest.mark.parametrize(("number", "again"), [(errno.ESTALE, True), (errno.EIO, True), (errno.EACCES, False)])
def test_a_volume_that_is_away_is_worth_another_try(folder: Folder, monkeypatch, number, again):
    sink = folder.create("n1")
    monkeypatch.setattr(os, "fsync", refusing(number))
    with pytest.raises(StorageError, match="can't write n1") as caught:
        sink.finish()
    assert caught.value.again is again
    sink.abort()


def test_a_full_folder_tells_the_time(folder: Folder, monkeypatch):
    monkeypatch.setattr(Path, "write_bytes", refusing(errno.ENOSPC))
    assert abs((folder.now() - datetime.now(UTC)).total_seconds()) < 60


def test_an_error_while_reading_is_the_storage_s(folder: Folder):
    folder.put("n1", b"data")
    no_file = os.open("/", os.O_RDONLY)
    with folder.read("n1") as source:
        os.dup2(no_file, source.fileno())
        with pytest.raises(StorageError, match="can't read n1"):
            source.read(10)
    os.close(no_file)


def test_what_the_reader_does_wrong_is_not_the_storage_s(folder: Folder):
    folder.put("n1", b"data")
    with pytest.raises(FileNotFoundError), folder.read("n1"):
        raise FileNotFoundError


def refusing(number: int) -> Callable[..., None]:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse
