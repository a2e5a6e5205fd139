"""Restores of collections with any names: some mean something to mongorestore, and FerretDB renames none with a dot."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from apm_operator.backup import rename, restore, swap
from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.errors import ConfigError, ToolFailed
from apm_operator.backup.job import Rename
from integration.restores import content

STRANGE = ["fs.files", "fs.chunks", "a.b.c", "a*b", "a*", "*", "a b", "ünï.ço∂é", "a\\b", "a\\*.b", "[x]?.y"]


@pytest.fixture
def strange(client, database) -> str:
    """A database of collections whose names mean something to somebody, one of them as long as FerretDB takes."""
    longest = "l." + "n" * (235 - len(f"{database}.l."))
    for number, name in enumerate([*STRANGE, longest]):
        client[database][name].insert_many({"_id": each, "n": each, "name": name} for each in range(number + 5))
    client[database]["fs.files"].create_index([("name", 1), ("n", -1)], unique=True)
    client[database]["a.b.c"].create_index("at", expireAfterSeconds=3600, name="ttl")
    client[database].create_collection("empty.one")
    return str(database)


def test_whatever_collections_are_called_they_are_replaced(place, client, strange):
    place.backup("b", strange)
    before = content(client, strange)
    for name in ("fs.files", "a.b.c", "*"):
        client[strange][name].update_many({}, {"$set": {"a": "nonsense"}})
    client[strange]["fs.chunks"].drop()
    client[strange]["added.since"].insert_one({"_id": 1})
    restore.restore(place.job(replace=True), place.means())
    assert content(client, strange) == before


def test_whatever_collections_are_called_they_are_restored_where_nothing_is(place, client, strange):
    place.backup("b", strange)
    before = content(client, strange)
    client.drop_database(strange)
    restore.restore(place.job(), place.means())
    assert content(client, strange) == before


def test_whatever_collections_are_called_they_are_restored_under_another_name(place, client, strange):
    longest = max(client[strange].list_collection_names(), key=len)
    client[strange][longest].drop()
    place.backup("b", strange)
    other = f"{strange}_other"
    restore.restore(place.job(renames=(Rename(source=strange, target=other),)), place.means())
    assert content(client, other) == content(client, strange)


def test_a_failed_swap_of_names_with_dots_is_undone(place, client, strange):
    place.backup("b", strange)
    client[strange]["fs.files"].update_many({}, {"$set": {"a": 1}})
    client[strange]["a.b.c"].drop()
    client[strange]["added.since"].insert_one({"_id": 1})
    hurt = content(client, strange)

    def tell(phase: str, _documents: int, _bytes: int, percent: int | None) -> None:
        if phase == "Swapping" and percent == 100:
            raise ToolFailed("at the end")

    with pytest.raises(ToolFailed, match="at the end"):
        restore.restore(place.job(replace=True), place.means(tell))
    assert content(client, strange) == hurt


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
def test_a_restore_of_names_with_dots_that_was_killed_is_ended(place, client, strange, share):
    place.backup("b", strange)
    before, words = content(client, strange), Counter()
    restore.restore(place.job(id="first", replace=True), place.means(lambda phase, *_: words.update([phase])))
    client[strange]["fs.files"].update_many({}, {"$set": {"a": 1}})
    client[strange]["fs.chunks"].drop()
    job = place.job(replace=True)
    assert place.killed(job, "Swapping", int(words["Swapping"] * share)) == -signal.SIGKILL
    restore.restore(job, place.means())
    assert content(client, strange) == before


@pytest.mark.parametrize(("source", "target"), [("fs.files", "plain"), ("a b", "fs.new"), ("fs.files", "fs.new")])
def test_what_a_killed_copy_has_left_gives_way(client, strange, source, target):
    before = content(client, strange)[source]
    for name in (target, target + "_copy"):
        client[strange][name].insert_one({"_id": 1, "half": True})
    for _ in range(2):  # once it has been done, nothing is to do
        rename.rename(client, Key(strange, source), target)
        found = content(client, strange)
        assert found[target] == before
        assert source not in found


def test_a_name_that_the_target_does_not_take_is_refused_before_anything_is_touched(place, client, database):
    manifest = place.backup("b", database)
    name = "n" * (255 - len(f"{database}."))
    longer = [
        it.model_copy(update={"collection": name if it.collection == "empty" else it.collection})
        for it in manifest.namespaces
    ]
    job = place.job(replace=True)
    moves = swap.plan([(it, Key(database, it.collection)) for it in longer], job.id, "0", [], set())
    before = content(client, database)
    if "ferretdb" in client.server_info():
        with pytest.raises(ConfigError, match="255 bytes"):
            swap.check(client, job.id, moves)
    else:
        swap.check(client, job.id, moves)
    assert content(client, database) == before
