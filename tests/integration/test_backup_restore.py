"""Restores by the real mongorestore into a real server: all of the backup, or what was there before."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient

from apm_operator.backup import restore
from apm_operator.backup.errors import (
    BackupError,
    ConfigError,
    Damaged,
    Differs,
    SourceError,
    TargetNotEmpty,
    ToolFailed,
)
from apm_operator.backup.job import Rename, Scope
from apm_operator.backup.restoretest import restore_test
from apm_operator.backup.verify import pick, verify
from fakes.agents import CHAT, ECHO, person, running
from fakes.wire import Wire
from integration.restores import Place, content, leftovers

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def client(mongodb_uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient(mongodb_uri) as it:
        yield it


@pytest.fixture
def place(tmp_path: Path, mongodb_uri: str) -> Place:
    return Place(tmp_path, mongodb_uri)


@pytest.fixture
def database(client) -> Iterator[str]:
    name = f"restore_{secrets.token_hex(4)}"
    orders = client[name]["orders"]
    orders.insert_many({"_id": number, "number": number, "raw": secrets.token_bytes(1000)} for number in range(3000))
    orders.create_index("number", unique=True)
    client[name]["sessions"].insert_many(
        {"_id": number, "at": LONG_AGO, "open": number % 2 == 0} for number in range(50)
    )
    client[name]["sessions"].create_index("open", partialFilterExpression={"open": True})
    client[name]["customers"].insert_many({"_id": f"c{number}"} for number in range(10))
    client[name].create_collection("empty")
    yield name
    for each in client.list_database_names():
        if each.startswith(name):
            client.drop_database(each)


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
    job = place.job(replace=True)
    restore.restore(job, place.means(lambda phase, *_: words.update([phase])))
    hurt = _hurt(client, database)
    code = place.killed(job, phase, min(int(words[phase] * share), words[phase] - 1))
    assert code == -signal.SIGKILL
    if phase != "Swapping":
        now = content(client, database)
        assert {name: now[name] for name in hurt} == hurt
    restore.restore(job, place.means())
    assert content(client, database) == before


def test_another_restore_ends_what_one_that_died_had_decided(place, client, database):
    place.backup("b", database)
    before = content(client, database)
    _hurt(client, database)
    place.killed(place.job(id="dead", replace=True), "Swapping", 4)
    assert leftovers(client, database)
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


def test_a_backup_is_tried_in_scratch_databases(place, client, database):
    manifest = place.backup("b", database)
    scratch = f"{database}_scratch"
    client[f"{scratch}_7"]["left"].insert_one({})
    with place.storage.read(manifest.data) as file:
        sampled = verify(file, picks=pick(manifest.namespaces, 100)).sampled
    facts = restore_test(place.mongo, scratch, manifest, sampled, place.means())
    assert (facts.good, facts.restored, facts.documents) == (True, True, 3060)
    assert [name for name in client.list_database_names() if name.startswith(scratch)] == []


def test_a_document_that_is_not_the_one_dumped_fails_the_restore_test(place, client, database):
    manifest = place.backup("b", database)
    with place.storage.read(manifest.data) as file:
        sampled = verify(file, picks=pick(manifest.namespaces, 100)).sampled
    first = sampled[0]
    changed = first.__class__(first.key, first.document[:-2] + bytes([first.document[-2] ^ 1]) + first.document[-1:])
    with pytest.raises(Differs, match=r"is not the one that was dumped|is missing"):
        restore_test(place.mongo, f"{database}_scratch", manifest, [changed], place.means())
    assert [name for name in client.list_database_names() if "scratch" in name] == []


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
