"""What of a backup is restored, and where."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.catalogue import newest_verified
from apm_operator.backup.errors import ConfigError, Missing
from apm_operator.backup.job import FolderStorage, Mongo, Rename, RestoreJob, Scope
from apm_operator.backup.manifest import Manifest, Namespace, Verdict
from apm_operator.backup.restore import selected
from apm_operator.backup.restoretest import pairs
from apm_operator.backup.storage.folder import Folder

KEYS = [("shop", "orders"), ("shop", "apm_restore_1_2"), ("crm", "people"), ("admin", "system.version"), ("", "oplog")]
NAMESPACES = tuple(Namespace(database=one, collection=two, documents=1, size=9, crc64="0") for one, two in KEYS)


def _manifest(name: str = "b", day: int = 1) -> Manifest:
    at = datetime(2026, 11, day, tzinfo=UTC)
    facts = {"server_version": "7", "tool_version": "100", "oplog": False, "data": f"{name}.archive.gz"}
    return Manifest(
        name=name,
        namespace="shop",
        policy="nightly",
        started=at,
        finished=at,
        size=1,
        sha256="0",
        archive_size=1,
        namespaces=NAMESPACES,
        **facts,
    )


def _job(**more: Any) -> RestoreJob:
    return RestoreJob(
        namespace="shop", policy="r", storage=FolderStorage(path="/x"), id="r", target=Mongo(uri_file="/uri"), **more
    )


def _places(**more: Any) -> set[str]:
    return {str(place) for _, place in selected(_manifest(), _job(**more))}


def test_what_is_mongodbs_own_or_left_by_a_restore_is_not_restored():
    assert _places() == {"shop.orders", "crm.people"}


def test_databases_are_renamed_and_chosen():
    assert _places(renames=[Rename(source="shop", target="shop2")]) == {"shop2.orders", "crm.people"}
    assert _places(scope=Scope(databases=("crm",))) == {"crm.people"}
    assert _places(scope=Scope(excluded=("crm.*",))) == {"shop.orders"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"renames": [Rename(source="nowhere", target="x")]}, "does not have nowhere"),
        ({"renames": [Rename(source="shop", target="crm")]}, "would become one"),
        ({"renames": [Rename(source="shop", target="admin")]}, "MongoDB's own"),
        ({"scope": Scope(namespaces=("shop.gone",))}, "does not have shop.gone"),
        ({"scope": Scope(excluded=("*",))}, "nothing of what is chosen"),
    ],
)
def test_what_does_not_fit_is_told(more, message):
    with pytest.raises(ConfigError, match=message):
        _places(**more)


def test_scratch_databases_are_numbered():
    places = {str(pair.source): pair.target for pair in pairs(NAMESPACES, "apm_test_1")}
    assert places == {"shop.orders": Key("apm_test_1_1", "orders"), "crm.people": Key("apm_test_1_0", "people")}
    with pytest.raises(ConfigError, match="called like a scratch database"):
        pairs([NAMESPACES[0].model_copy(update={"database": "apm_test_1_0"})], "apm_test_1")


def test_the_newest_backup_is_one_of_which_nothing_bad_is_known(tmp_path):
    storage = Folder(tmp_path)
    with pytest.raises(Missing):
        newest_verified(storage)
    for name, day in (("one", 1), ("two", 2), ("bad", 3), ("dataless", 4)):
        storage.put(f"{name}.manifest.json", _manifest(name, day).to_json().encode())
        if name != "dataless":
            storage.put(f"{name}.archive.gz", b"x")
    bad = Verdict(name="bad", at=datetime(2026, 11, 5, tzinfo=UTC), restored=True, good=False)
    storage.put("bad.verdict.json", bad.to_json().encode())
    assert newest_verified(storage) == "two"
    good = Verdict(name="one", at=datetime(2026, 11, 5, tzinfo=UTC), restored=True, good=True)
    storage.put("one.verdict.json", good.to_json().encode())
    assert newest_verified(storage) == "one", "nobody has looked at two since it was written"
