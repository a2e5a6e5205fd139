"""Restores by the real mongorestore into a real server: all of the backup, or what was there before."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
from collections import Counter
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient

from apm_operator.backup import journal as journals
from apm_operator.backup import rename, restore, swap
from apm_operator.backup.errors import (
    BackupError,
    ConfigError,
    Damaged,
    SourceError,
    Stopped,
    StorageError,
    TargetNotEmpty,
    ToolFailed,
)
from apm_operator.backup.job import Rename, Scope
from apm_operator.backup.storage.folder import Folder
from fakes.agents import CHAT, ECHO, person, running
from fakes.wire import Wire
from integration.restores import content, leftovers


def _hurt(client: MongoClient[dict[str, Any]], database: str) -> dict[str, Any]:
    """A bad deploy: documents changed, a collection dropped, another one added."""
    client[database]["orders"].update_many({"_id": {"$lt": 100}}, {"$set": {"raw": b""}})
    client[database]["customers"].drop()
    client[database]["added"].insert_one({"_id": 1})
    return content(client, database)


def test_replacing_leaves_exactly_what_was_backed_up(place, client, database):
    place.backup("b", database)
    before = content(client, database)
    _hurt(client, database)
    facts = restore.restore(place.job(name="b", replace=True), place.means())
    assert content(client, database) == before
    assert (facts.documents, facts.collections, facts.indexes) == (3060, 4, 2)


def test_documents_that_are_there_already_are_no_duplicates(place, client, database):
    place.backup("b", database)
    before = content(client, database)
    facts = restore.restore(place.job(replace=True), place.means())
    assert content(client, database) == before
    assert facts.name == "b"


def test_a_target_with_data_is_refused(place, client, database):
    place.backup("b", database)
    hurt = _hurt(client, database)
    with pytest.raises(TargetNotEmpty, match="mode: Replace"):
        restore.restore(place.job(), place.means())
    assert content(client, database) == hurt


def test_what_is_written_to_an_empty_target_meanwhile_is_not_lost(place, client, database):
    place.backup("b", database)
    for name in client[database].list_collection_names():
        client[database][name].delete_many({})

    def tell(phase: str, *_: Any) -> None:
        if phase == "Restoring":
            client[database]["customers"].update_one({"_id": "new"}, {"$set": {"a": 1}}, upsert=True)

    with pytest.raises(TargetNotEmpty, match="customers"):
        restore.restore(place.job(), place.means(tell))
    assert client[database]["customers"].find_one() == {"_id": "new", "a": 1}
    assert leftovers(client, database) == []


@pytest.mark.parametrize("phase", ["Staging", "Swapping", "Undoing", "Tidying"])
def test_a_journal_that_somebody_has_planted_reaches_no_other_database(place, client, database, phase):
    place.backup("b", database)
    victim = f"{database}_victim"
    client[victim]["orders"].insert_one({"_id": 1})
    moves = [
        {"database": database, "name": "x", "staged": "apm_restore_x", "old": "y"},
        {"database": victim, "name": "orders", "staged": "orders", "source": ["a", "b"], "old": "apm_restore_y"},
        {"database": victim, "name": "orders", "staged": "apm_restore_z", "old": "apm_restore_y"},
    ]
    text = json.dumps({"id": "planted", "attempt": "0", "phase": phase, "moves": moves})
    planted = {"_id": "planted", "attempt": "0", "phase": phase, "journal": text}
    client[database][journals.COLLECTION].insert_one(planted)
    with pytest.raises(ConfigError, match="_victim as well"):
        restore.restore(place.job(replace=True), place.means())
    assert client[victim]["orders"].count_documents({}) == 1


@pytest.mark.parametrize("entry", [{"journal": "{"}, {"a": 1}, {"journal": '{"id": "p", "attempt": "0", "moves": []}'}])
def test_what_is_no_journal_is_told(place, client, database, entry):
    place.backup("b", database)
    client[database][journals.COLLECTION].insert_one({"_id": "p", **entry})
    with pytest.raises(ConfigError, match="is no journal of a Restore: drop it"):
        restore.restore(place.job(replace=True), place.means())


def test_a_database_is_restored_under_another_name(place, client, database):
    place.backup("b", database)
    other = f"{database}_other"
    restore.restore(place.job(renames=(Rename(source=database, target=other),)), place.means())
    assert content(client, other) == content(client, database)


def test_a_lost_collection_comes_back_beside_the_others(place, client, database):
    place.backup("b", database)
    before = content(client, database)
    client[database]["orders"].drop()
    client[database]["sessions"].delete_one({"_id": 1})
    scope = Scope(namespaces=(f"{database}.orders",))
    restore.restore(place.job(scope=scope), place.means())
    after = content(client, database)
    assert after["orders"] == before["orders"]
    assert client[database]["sessions"].count_documents({}) == 49


def test_documents_whose_time_is_over_are_restored_before_they_expire(place, client, database):
    client[database]["sessions"].create_index("at", expireAfterSeconds=10**9, name="ttl")
    place.backup("b", database)
    before = content(client, database)
    client[database]["sessions"].drop()
    restore.restore(place.job(replace=True), place.means())
    assert content(client, database) == before


def test_a_failed_swap_is_undone(place, client, database):
    place.backup("b", database)
    hurt = _hurt(client, database)
    told = Counter()

    def tell(phase: str, *_: Any) -> None:
        told[phase] += 1
        if told["Swapping"] == 6:
            raise ToolFailed("in the middle")

    with pytest.raises(ToolFailed, match="in the middle"):
        restore.restore(place.job(replace=True), place.means(tell))
    assert content(client, database) == hurt


@pytest.mark.parametrize("renamed", [0, 1, 100], ids=["at its begin", "in its middle", "at its end"])
def test_undoing_a_swap_that_was_killed_is_ended(place, client, database, monkeypatch, renamed):
    """Of what is put back, nothing may pass for restored afterwards."""
    place.backup("b", database)
    before, told, left = content(client, database), Counter(), [renamed]
    _hurt(client, database)

    def tell(phase: str, *_: Any) -> None:
        told[phase] += 1
        if told["Swapping"] == 6:
            monkeypatch.setattr(swap, "rename", dying)
            monkeypatch.setattr(restore, "_forget", killed)
            raise ToolFailed("in the middle")

    def dying(*which: Any) -> None:
        if not left[0]:
            killed()
        left[0] -= 1
        rename.rename(*which)

    def killed(*_: Any) -> None:
        raise Stopped("at the worst time")

    with pytest.raises(Stopped):
        restore.restore(place.job(replace=True), place.means(tell))
    monkeypatch.undo()
    restore.restore(place.job(replace=True), place.means())
    assert content(client, database) == before
    assert leftovers(client, database) == []


@pytest.mark.parametrize("size", [0.1, 0.5, 0.9])
def test_a_damaged_archive_leaves_the_target_alone(place, client, database, size):
    manifest = place.backup("b", database)
    data = place.folder / "store" / manifest.data
    raw = bytearray(data.read_bytes())
    raw[int(len(raw) * size)] ^= 1
    data.write_bytes(raw)
    hurt = _hurt(client, database)
    with pytest.raises(Damaged):
        restore.restore(place.job(replace=True), place.means())
    assert content(client, database) == hurt


def test_a_manifest_that_promises_more_is_found_out(place, client, database):
    manifest = place.backup("b", database)
    more = [it.model_copy(update={"documents": it.documents + 1}) for it in manifest.namespaces]
    changed = manifest.model_copy(update={"namespaces": tuple(more)})
    place.storage.put("b.manifest.json", changed.to_json().encode(), replace=True)
    hurt = _hurt(client, database)
    with pytest.raises(Damaged, match="not what was dumped"):
        restore.restore(place.job(replace=True), place.means())
    assert content(client, database) == hurt


# Shares of the words of progress of a phase; after `Swapping` has begun, the new data are to win.
POINTS = [
    ("Verifying", 0.0),
    ("Restoring", 0.0),
    ("Restoring", 0.5),
    ("Restoring", 1.0),
    ("Comparing", 0.0),
    ("Comparing", 1.0),
    ("Swapping", 0.0),
    ("Swapping", 0.3),
    ("Swapping", 0.6),
    ("Swapping", 1.0),
]


@pytest.mark.parametrize(("phase", "share"), POINTS)
def test_a_killed_restore_is_ended_by_the_next_pod(place, client, database, phase, share):
    place.backup("b", database)
    before, words = content(client, database), Counter()
    restore.restore(place.job(id="first", replace=True), place.means(lambda phase, *_: words.update([phase])))
    hurt, job = _hurt(client, database), place.job(replace=True)
    code = place.killed(job, phase, min(int(words[phase] * share), words[phase] - 1))
    assert code == -signal.SIGKILL
    if phase != "Swapping":
        now = content(client, database)
        assert {name: now[name] for name in hurt} == hurt
    restore.restore(job, place.means())
    assert content(client, database) == before


@pytest.mark.parametrize("replace", [True, False])
def test_a_pod_that_comes_after_the_end_tells_it_and_restores_nothing(place, client, database, replace):
    place.backup("b", database)
    if not replace:
        client.drop_database(database)
    job = place.job(replace=replace)
    facts = restore.restore(job, place.means())
    hurt = _hurt(client, database)
    assert restore.restore(job, place.means()) == facts
    assert content(client, database) == hurt
    assert leftovers(client, database) == []


def test_a_pod_that_dies_as_it_takes_down_the_end(place, client, database):
    class Dying(Folder):
        def put(self, key: str, data: bytes, *, replace: bool = False) -> None:
            super().put(key, data, replace=replace)
            if key.startswith("r-1"):
                raise Stopped("at the worst time")

    place.backup("b", database)
    _hurt(client, database)
    job, means = place.job(replace=True), place.means()
    with pytest.raises(Stopped):
        restore.restore(job, dataclasses.replace(means, storage=Dying(place.folder / "store")))
    client[database]["orders"].delete_one({"_id": 7})
    restore.restore(job, means)
    restore.restore(job, means)
    assert client[database]["orders"].count_documents({}) == 2999
    assert leftovers(client, database) == []


def test_where_the_storage_takes_nothing_the_journal_tells_the_end(place, client, database, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise StorageError("AccessDenied")

    place.backup("b", database)
    before = content(client, database)
    job = place.job(replace=True)
    means = place.means()
    monkeypatch.setattr(means.storage, "put", refuse)
    facts = restore.restore(job, means)
    hurt = _hurt(client, database)
    assert restore.restore(job, means) == facts
    assert content(client, database) == hurt
    assert leftovers(client, database) == [journals.COLLECTION]
    monkeypatch.undo()
    restore.restore(place.job(id="next", replace=True), place.means())
    assert content(client, database) == before


def test_another_restore_ends_what_one_that_died_had_decided(place, client, database):
    place.backup("b", database)
    before = content(client, database)
    _hurt(client, database)
    place.killed(place.job(id="dead", replace=True), "Swapping", 4)
    assert leftovers(client, database)
    lost = Scope(namespaces=(f"{database}.empty",))
    with pytest.raises(TargetNotEmpty, match="in the middle of its swap"):
        restore.restore(place.job(id="next", scope=lost), place.means())
    restore.restore(place.job(id="next", replace=True), place.means())
    assert content(client, database) == before


def test_mongodb_stops_in_the_middle(place, client, database, mongodb_uri):
    place.backup("b", database)
    before, hurt = content(client, database), _hurt(client, database)
    parts = urlsplit(mongodb_uri)
    login = parts.netloc.rpartition("@")[0]
    job = place.job(replace=True)
    with closing(Wire(parts.hostname or "", parts.port or 27017)) as wire:
        address = f"{login}@127.0.0.1:{wire.port}" if login else f"127.0.0.1:{wire.port}"
        away = job.model_copy(update={"target": place.server(parts._replace(netloc=address).geturl())})

        def tell(phase: str, *_: Any) -> None:
            if phase == "Restoring":
                wire.cut()

        with pytest.raises((ToolFailed, SourceError)) as caught:
            restore.restore(away, place.means(tell))
    assert (parts.password or "no password") not in str(caught.value)
    now = content(client, database)
    assert {name: now[name] for name in hurt} == hurt
    restore.restore(job, place.means())
    assert content(client, database) == before


def test_what_the_backup_does_not_have_is_told(place, database):
    place.backup("b", database)
    with pytest.raises(ConfigError, match="does not have nowhere"):
        restore.restore(place.job(scope=Scope(databases=("nowhere",))), place.means())
    with pytest.raises(BackupError, match="has no backup c"):
        restore.restore(place.job(name="c"), place.means())


async def test_a_conversation_goes_on_after_its_database_was_lost(place, client, database, mongodb_uri):
    mounted = place.folder / "apm-mongodb"
    mounted.mkdir()
    (mounted / "uri").write_text(mongodb_uri)
    lost = f"{database}_agents"
    state = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": lost}}
    spec = {"models": [ECHO], "workflow": CHAT, "state": state}
    async with running(spec, secrets=place.folder) as first:
        thread = (await first.client.threads.create(metadata={"customer": "c1"}))["thread_id"]
        await first.client.runs.wait(thread, "agent", input=person("one"))
    before = content(client, lost)
    await asyncio.to_thread(place.backup, "b", lost)
    client.drop_database(lost)
    await asyncio.to_thread(restore.restore, place.job(), place.means())
    assert content(client, lost) == before
    async with running(spec, secrets=place.folder) as second:
        values = await second.client.runs.wait(thread, "agent", input=person("two"))
        assert [m["content"] for m in values["messages"]] == ["one", "You said: one", "two", "You said: two"]
        assert len(await second.client.threads.get_history(thread)) == 6
