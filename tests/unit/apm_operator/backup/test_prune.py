from __future__ import annotations

import os
import time
import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from apm_operator.backup import catalogue
from apm_operator.backup.catalogue import newest_verified
from apm_operator.backup.errors import StorageError
from apm_operator.backup.job import Retention
from apm_operator.backup.prune import prune
from apm_operator.backup.storage.base import SMALL
from apm_operator.backup.storage.folder import Folder
from fakes.backups import manifest, store, verdict
from fakes.catalogue_contract import CONTRACT, names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apm_operator.backup.storage.base import Storage

DAY = 86_400


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def aged(path: Path, name: str, days: float) -> None:
    """Make it look `days` old by the storage's clock."""
    for file in path.glob(f"{name}.*"):
        then = time.time() - days * DAY
        os.utime(file, (then, then))


def a_backup(folder: Folder, path: Path, name: str, days: float, *, good: bool = True) -> None:
    store(folder, manifest(name, days=days, now=datetime.now(UTC)), verdict(name, good=good))
    aged(path, name, days)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_contract(folder: Folder, check: Callable[[Storage], None]):
    check(folder)


def test_old_ones_failed_ones_and_leftovers_go(folder: Folder, tmp_path: Path):
    a_backup(folder, tmp_path, "old", 40)
    a_backup(folder, tmp_path, "failed", 2, good=False)
    a_backup(folder, tmp_path, "good", 3)
    a_backup(folder, tmp_path, "just-failed", 0.5, good=False)
    folder.create("killed.archive.gz").finish()
    aged(tmp_path, "killed", 1.1)
    folder.create("running.archive.gz").finish()
    pruned = prune(folder, Retention(days=30), tested=True)
    assert [each.name for each in pruned.removals] == ["old", "failed", "killed.archive.gz"]
    assert names(folder) == ["good", "just-failed"]
    assert [each.key for each in catalogue.read(folder).leftovers] == ["running.archive.gz"]
    assert (pruned.facts.backups, pruned.facts.verified) == (2, 1)
    assert pruned.facts.removed == ("old", "failed", "killed.archive.gz")


def test_what_lies_there_is_told(folder: Folder, tmp_path: Path):
    a_backup(folder, tmp_path, "old", 40)
    for name, days in (("verified", 9), ("newer", 5)):
        a_backup(folder, tmp_path, name, days)
    folder.remove("newer.verdict.json")
    folder.put("damaged.manifest.json", b"{")
    a_backup(folder, tmp_path, "dataless", 1)
    folder.remove("dataless.archive.gz")
    sink = folder.create("killed.archive.gz")
    sink.write(b"12345")
    sink.finish()
    aged(tmp_path, "killed", 1.1)
    told = prune(folder, Retention(days=30), tested=True).facts
    now = datetime.now(UTC)
    ages = [(now - each).days for each in (told.oldest, told.newest, told.newest_verified) if each]
    assert ages == [9, 5, 9]
    assert (told.backups, told.verified) == (4, 1)
    assert told.size == sum(each.stat().st_size for each in tmp_path.iterdir())


def test_what_was_half_removed_is_swept(folder: Folder, tmp_path: Path, monkeypatch):
    """A Job that is killed between two removals leaves no backup that has no data."""
    a_backup(folder, tmp_path, "old", 40)
    a_backup(folder, tmp_path, "good", 3)
    removals = []

    def killed(_self: Folder, key: str, **_: bool) -> None:
        removals.append(key)
        if len(removals) == 2:
            raise StorageError("gone")
        (tmp_path / key).unlink()

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "remove", killed)
        with pytest.raises(StorageError):
            prune(folder, Retention(days=30), tested=True)
    assert names(folder) == ["good"]
    prune(folder, Retention(days=30), tested=True)
    assert {each.key for each in folder.list()} == {"good.archive.gz", "good.manifest.json", "good.verdict.json"}


@pytest.mark.parametrize(
    "hostile",
    [
        manifest("bad").model_copy(update={"started": datetime(2026, 1, 1)}).to_json().encode(),  # noqa: DTZ001
        b"[" * 100_000,
        b"{" + b" " * SMALL,
    ],
    ids=["no time zone", "deep", "large"],
)
def test_a_manifest_that_somebody_has_planted_stops_nobody(folder: Folder, tmp_path: Path, hostile: bytes):
    a_backup(folder, tmp_path, "old", 40)
    a_backup(folder, tmp_path, "good", 3)
    folder.put("bad.manifest.json", hostile)
    pruned = prune(folder, Retention(days=30), tested=True)
    assert [each.name for each in pruned.removals] == ["old"]
    assert (pruned.facts.verified, newest_verified(folder)) == (1, "good")


def test_many_large_manifests_do_not_stay_in_memory(folder: Folder):
    large = manifest("b").namespaces * 200
    for number in range(20):
        made = manifest(f"b{number}").model_copy(update={"namespaces": large})
        folder.put(f"b{number}.manifest.json", made.to_json().encode())
    tracemalloc.start()
    found = catalogue.read(folder)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(found.entries) == 20
    assert used < 1 << 20
