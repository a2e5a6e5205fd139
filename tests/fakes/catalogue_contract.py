"""What holds for catalogue, prune and remove in every storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apm_operator.backup import catalogue, layout
from apm_operator.backup.catalogue import Facts
from apm_operator.backup.errors import LeaseBusy
from apm_operator.backup.job import Retention
from apm_operator.backup.prune import prune
from apm_operator.backup.remove import remove
from fakes.backups import manifest, store, verdict

if TYPE_CHECKING:
    from apm_operator.backup.storage.base import Storage


def names(storage: Storage) -> list[str]:
    return [each.name for each in catalogue.read(storage).entries]


def it_needs_no_more_than_what_lies_there(storage: Storage) -> None:
    store(storage, manifest("n2", days=1), verdict("n2"))
    store(storage, manifest("n1", days=2))
    storage.put("README.txt", b"of somebody else")
    first, second = catalogue.read(storage).entries
    assert (first.name, first.manifest, first.verdict) == ("n1", Facts.of(manifest("n1", days=2)), None)
    assert (second.name, second.verdict, second.good) == ("n2", verdict("n2"), True)
    assert second.verified(tested=True)
    assert first.verified(tested=False)
    assert not first.verified(tested=True)
    assert catalogue.read(storage).leftovers == ()


def damaged_ones_are_shown_and_hide_nothing(storage: Storage) -> None:
    store(storage, manifest("n1"))
    store(storage, manifest("n2"))
    storage.remove("n2.archive.gz")
    store(storage, manifest("n3"), data=b"longer than it says")
    store(storage, manifest("n4"))
    text = bytearray(storage.get("n4.manifest.json"))
    text[10] ^= 1
    storage.put("n4.manifest.json", bytes(text), replace=True)
    store(storage, manifest("n5"))
    storage.put("n6.manifest.json", storage.get("n5.manifest.json"))
    found = {each.name: each for each in catalogue.read(storage).entries}
    assert [name for name, each in found.items() if each.good] == ["n1", "n5"]
    assert "data are missing" in found["n2"].problem
    assert "19 bytes instead of 4" in found["n3"].problem
    assert "damaged" in found["n4"].problem
    assert "n5" in found["n6"].problem


def what_jobs_have_left_is_found(storage: Storage) -> None:
    sink = storage.create("n1.archive.gz.age")
    sink.write(b"data")
    sink.finish()
    storage.put("n2.verdict.json", verdict("n2").to_json().encode())
    storage.put("r1.restored", b"{}")
    found = catalogue.read(storage)
    assert found.entries == ()
    assert {each.key for each in found.leftovers} == {"n1.archive.gz.age", "n2.verdict.json", "r1.restored"}
    assert remove(storage, ()) == ()
    assert list(storage.list()) == []


def a_dry_run_removes_nothing(storage: Storage) -> None:
    store(storage, manifest("n1", days=90), verdict("n1"))
    store(storage, manifest("n2", days=1), verdict("n2"))
    before = {each.key for each in storage.list()}
    pruned = prune(storage, Retention(days=0), tested=True, dry_run=True)
    assert {each.key for each in storage.list()} == before
    assert pruned.facts.backups == 2


def what_is_removed_is_gone_with_all_of_it(storage: Storage) -> None:
    for name in ("n1", "n2", "n3"):
        store(storage, manifest(name), verdict(name))
    assert remove(storage, ["n1", "n9"]) == ("n1",)
    assert names(storage) == ["n2", "n3"]
    assert not any(each.key.startswith("n1") for each in storage.list())
    assert remove(storage, ["n1"]) == ()
    storage.put("README.txt", b"of somebody else")
    assert set(remove(storage, ())) == {"n2", "n3"}
    assert {each.key for each in storage.list()} == {"README.txt"}


def what_is_left_of_others_stays(storage: Storage) -> None:
    store(storage, manifest("n1"))
    for name in ("n1", "n2"):
        storage.put(f"{name}.verdict.json", verdict(name).to_json().encode())
    assert remove(storage, ["n1"]) == ("n1",)
    assert {each.key for each in storage.list()} == {"n2.verdict.json"}
    assert remove(storage, ["n2"]) == ()
    assert list(storage.list()) == []


def what_a_restore_reads_is_not_removed(storage: Storage) -> None:
    store(storage, manifest("n1"))
    store(storage, manifest("n2"))
    storage.put(layout.reading_key("n2"), b"")
    with pytest.raises(LeaseBusy, match="reads n2"):
        remove(storage, ())
    assert names(storage) == ["n1", "n2"]
    assert remove(storage, ["n1"]) == ("n1",)


CONTRACT = (
    it_needs_no_more_than_what_lies_there,
    damaged_ones_are_shown_and_hide_nothing,
    what_jobs_have_left_is_found,
    a_dry_run_removes_nothing,
    what_is_removed_is_gone_with_all_of_it,
    what_is_left_of_others_stays,
    what_a_restore_reads_is_not_removed,
)
