from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apm_operator.backup import outcome
from apm_operator.backup.errors import Damaged, StorageAway, StorageError
from apm_operator.backup.report import RestoreFacts
from apm_operator.backup.storage.folder import Folder

if TYPE_CHECKING:
    from pathlib import Path

FACTS = RestoreFacts(name="b1", documents=3, size=9, collections=1, indexes=0, seconds=1.5)


@pytest.fixture
def storage(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_what_is_kept_is_found_by_its_restore_alone(storage: Folder):
    assert outcome.find(storage, "r1") is None
    assert outcome.keep(storage, "r1", FACTS)
    assert (outcome.find(storage, "r1"), outcome.find(storage, "r2")) == (FACTS, None)


def test_what_can_not_be_read_is_no_reason_to_restore_again(storage: Folder):
    storage.put("r1.restored", b'{"name": ')
    with pytest.raises(Damaged, match="has ended already"):
        outcome.find(storage, "r1")


@pytest.mark.parametrize("error", [StorageAway("status 500"), StorageError("AccessDenied")], ids=["away", "refuses"])
def test_a_storage_that_is_away_is_asked_again_and_one_that_refuses_is_not(storage: Folder, monkeypatch, error):
    def get(_key: str) -> Any:
        raise error

    monkeypatch.setattr(storage, "get", get)
    if error.again:
        with pytest.raises(StorageAway):
            outcome.find(storage, "r1")
    else:
        assert outcome.find(storage, "r1") is None
