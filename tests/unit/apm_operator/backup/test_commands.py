from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from apm_operator.backup.commands import execute
from apm_operator.backup.job import FolderStorage, PruneJob, RemoveJob, Retention
from apm_operator.backup.settings import Settings
from apm_operator.backup.storage.folder import Folder
from fakes.backups import manifest, store, verdict
from fakes.catalogue_contract import names

if TYPE_CHECKING:
    from pathlib import Path


def silent(_phase: str, _documents: int, _size: int, _percent: int | None) -> None:
    """Tells nobody."""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    it = Folder(tmp_path)
    for name, hours in (("n1", 3), ("n2", 2), ("n3", 1)):
        store(it, manifest(name, now=datetime.now(UTC) - timedelta(hours=hours)), verdict(name))
    return it


def test_remove_by_name_and_all(folder: Folder, tmp_path: Path):
    storage = FolderStorage(path=str(tmp_path))
    report = execute(RemoveJob(namespace="shop", policy="nightly", storage=storage, names=("n1",)), Settings(), silent)
    assert report.store is not None
    assert (report.store.backups, report.store.removed) == (2, ("n1",))
    report = execute(RemoveJob(namespace="shop", policy="nightly", storage=storage), Settings(), silent)
    assert report.store is not None
    assert (report.result, report.store.backups) == ("Succeeded", 0)
    assert names(folder) == []


@pytest.mark.parametrize("dry", [True, False])
def test_prune(folder: Folder, tmp_path: Path, dry):
    job = PruneJob(
        namespace="shop",
        policy="nightly",
        storage=FolderStorage(path=str(tmp_path)),
        retention=Retention(days=0, minimum=2),
        dry_run=dry,
    )
    report = execute(job, Settings(), silent)
    assert report.store is not None
    assert report.message == ("1 would go; 3 backups are there" if dry else "1 went; 2 backups are there")
    assert names(folder) == (["n1", "n2", "n3"] if dry else ["n2", "n3"])
    assert report.store.removed == (() if dry else ("n1",))
