from pathlib import Path

import pytest

from cluster import builder
from cluster.builder import Buildah


def test_two_storages_share_no_folder_and_one_forgets_only_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(builder, "_RUNTIME", tmp_path / "run")
    one, other = Buildah(tmp_path / "one"), Buildah(tmp_path / "other")
    for each in (one, other):
        (each.runtime / "overlay-layers").mkdir(parents=True)
    one.forget()
    assert not one.runtime.exists()
    assert other.runtime.exists()
    other.forget()
    assert not (tmp_path / "run").exists()
    other.forget()
