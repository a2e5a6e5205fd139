"""Restore tests by the real mongorestore: scratch databases, and nothing beside them."""

from __future__ import annotations

import secrets

import pytest
from bson import Timestamp

from apm_operator.backup import restore
from apm_operator.backup.errors import Differs, ToolFailed
from apm_operator.backup.restoretest import restore_test
from apm_operator.backup.verify import pick, verify
from fakes.archives import ArchiveWriter, described


def test_a_backup_is_tried_in_scratch_databases(place, client, database):
    manifest = place.backup("b", database)
    scratch = f"{database}_scratch"
    client[f"{scratch}_7"]["left"].insert_one({})
    with place.storage.read(manifest.data) as file:
        sampled = verify(file, picks=pick(manifest.namespaces, 100)).sampled
    facts = restore_test(place.mongo, scratch, manifest, sampled, place.means())
    assert (facts.good, facts.restored, facts.documents) == (True, True, 3060)
    assert [name for name in client.list_database_names() if name.startswith(scratch)] == []


def test_an_oplog_in_a_backup_is_left_where_it_is(place, client, database):
    """No server of these tests has one: the archive is made as mongodump makes it with --oplog."""
    changes = [{"ts": Timestamp(1, 1), "op": "i", "ns": f"{database}.customers", "o": {"_id": "late"}}]
    names = ("customers", "empty")
    oplog = described("", "oplog", metadata="", type="")
    writer = ArchiveWriter().begin(*(described(database, name) for name in names), oplog)
    writer.block(database, "customers", [{"_id": number} for number in range(3)])
    for name in names:
        writer.end(database, name)
    manifest = place.keep("b", writer.block("", "oplog", changes).end("", "oplog").bytes())
    facts = restore_test(place.mongo, f"{database}_scratch", manifest, (), place.means())
    assert (facts.good, facts.documents) == (True, 3)
    restore.restore(place.job(name="b", replace=True), place.means())
    assert {name: client[database][name].count_documents({}) for name in client[database].list_collection_names()} == {
        "customers": 3,
        "empty": 0,
    }
    assert [name for name in client.list_database_names() if name.startswith((database, "oplog"))] == [database]


def test_the_buckets_of_a_time_series_stay_out_of_the_database_they_come_from(place, client):
    """Servers of these tests know no time series: they refuse it by the name that it was to get."""
    database = f"restore_{secrets.token_hex(4)}"
    readings = described(database, "readings", options={"timeseries": {"timeField": "at"}}, type="timeseries")
    writer = ArchiveWriter().begin(readings).block(database, "system.buckets.readings", [{"_id": 1}])
    manifest = place.keep("b", writer.end(database, "system.buckets.readings").bytes())
    with pytest.raises(ToolFailed, match=rf"{database}_scratch_0\.system\.buckets\.readings"):
        restore_test(place.mongo, f"{database}_scratch", manifest, (), place.means())
    assert [name for name in client.list_database_names() if name.startswith(database)] == []


def test_a_document_that_is_not_the_one_dumped_fails_the_restore_test(place, client, database):
    manifest = place.backup("b", database)
    with place.storage.read(manifest.data) as file:
        sampled = verify(file, picks=pick(manifest.namespaces, 100)).sampled
    # The last byte but one of others may be the end of a string, without which it is no BSON.
    first = next(each for each in sampled if each.key.collection == "orders")
    changed = first.__class__(first.key, first.document[:-2] + bytes([first.document[-2] ^ 1]) + first.document[-1:])
    with pytest.raises(Differs, match=r"is not the one that was dumped|is missing"):
        restore_test(place.mongo, f"{database}_scratch", manifest, [changed], place.means())
    assert [name for name in client.list_database_names() if "scratch" in name] == []
