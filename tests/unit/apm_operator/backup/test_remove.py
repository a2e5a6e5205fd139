from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apm_operator.backup import catalogue
from apm_operator.backup.remove import remove
from apm_operator.backup.storage.folder import Folder
from fakes.backups import manifest, store, verdict
from fakes.catalogue_contract import names

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Three backups, and what a killed Job has left of each of two more."""
    made = Folder(tmp_path)
    for name in ("one", "two", "keep"):
        store(made, manifest(name), verdict(name))
    for name in ("killed", "held"):
        made.create(f"{name}.archive.gz").finish()
    return made


def left(folder: Folder) -> list[str]:
    return sorted(each.key for each in catalogue.read(folder).leftovers)


def test_a_backup_goes_with_all_that_is_its_own(folder: Folder):
    assert remove(folder, ("one", "gone-already")) == ("one",)
    assert names(folder) == ["keep", "two"]
    assert left(folder) == ["held.archive.gz", "killed.archive.gz"]


def test_all_go_but_those_that_are_kept(folder: Folder):
    assert set(remove(folder, (), ("keep", "held"))) == {"one", "two"}
    assert names(folder) == ["keep"]
    assert left(folder) == ["held.archive.gz"]
