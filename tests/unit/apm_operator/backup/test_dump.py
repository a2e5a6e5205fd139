"""Runs of mongodump as one archive, whatever comes and goes between them."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path

import pytest

from apm_operator.backup import dump
from apm_operator.backup.archive.reader import Reader
from apm_operator.backup.dump import Dump
from apm_operator.backup.errors import ConfigError, Damaged, ToolFailed
from apm_operator.backup.job import Mongo, Scope
from apm_operator.backup.mongodump import Options, arguments
from apm_operator.backup.scope import Target
from apm_operator.backup.verify import compare
from fakes.archives import ArchiveWriter, archive, described

# The n-th run for a database writes the n-th of its archives, and says what is in it.
PROGRAM = """#!/bin/sh
for each in "$@"; do case $each in --db=*) db=${each#--db=};; esac; done
folder=FOLDER/${db:-all}
echo >>"$folder/runs"
number=$(wc -l <"$folder/runs")
cat "$folder/$number.said" >&2
cat "$folder/$number"
"""
ONE = [{"_id": 1}, {"_id": 2}]


@pytest.fixture
def options(tmp_path: Path) -> Options:
    program = tmp_path / "mongodump"
    program.write_text(PROGRAM.replace("FOLDER", str(tmp_path)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "uri").write_text("mongodb://u:geheim@h/")
    return Options(Mongo(uri_file=str(tmp_path / "uri")), "primary", program=str(program))


def _writes(tmp_path: Path, database: str, *archives: bytes) -> None:
    (tmp_path / database).mkdir()
    for number, data in enumerate(archives, 1):
        reader = Reader()
        list(reader.feed(data))
        said = [f"t\tdone dumping {it.database}.{it.collection} ({it.documents} documents)" for it in reader.close()]
        (tmp_path / database / str(number)).write_bytes(data)
        (tmp_path / database / f"{number}.said").write_text("\n".join([*said, ""]))


def _dump(options: Options, *databases: str | None, scope: Scope | None = None) -> tuple[Dump, bytes]:
    dump = Dump([Target(each) for each in databases], scope or Scope(), options)
    data = b"".join(map(bytes, dump.chunks()))
    assert dump.size == len(data)
    return dump, data


def _counts(data: bytes) -> dict[str, int]:
    reader = Reader()
    list(reader.feed(data))
    return {f"{it.database}.{it.collection}": it.documents for it in reader.close()}


def test_two_databases_become_one_archive(options, tmp_path):
    _writes(tmp_path, "a", *[archive({("a", "x"): ONE})] * 2)
    _writes(tmp_path, "b", *[archive({("b", "y"): ONE[:1]})] * 2)
    dump, data = _dump(options, "a", "b")
    assert _counts(data) == {"a.x": 2, "b.y": 1}
    assert {f"{it.database}.{it.collection}": it.documents for it in dump.namespaces} == _counts(data)


class Server:
    """What `plan` asks of a MongoDB that has an oplog, or has none."""

    def __init__(self, hello: dict[str, str]) -> None:
        self._hello = hello
        self.admin = self

    def command(self, _name: str) -> dict[str, str]:
        return self._hello

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("hello", "told"),
    [({"msg": "isdbgrid"}, "can't take an oplog from a sharded cluster"), ({}, "is no replica set")],
    ids=["mongos", "standalone"],
)
def test_an_oplog_is_refused_where_mongodump_can_take_none(monkeypatch, options, hello, told):
    monkeypatch.setattr(dump, "connect", lambda *_, **__: Server(hello))
    with pytest.raises(ConfigError, match=told):
        dump.plan(options.mongo, Scope(), oplog=True, read_preference="primary")


def test_an_oplog_is_taken_from_a_replica_set_with_all_that_it_has(monkeypatch, options):
    monkeypatch.setattr(dump, "connect", lambda *_, **__: Server({"setName": "rs0"}))
    assert dump.plan(options.mongo, Scope(), oplog=True, read_preference="secondary") == (Target(),)
    told = arguments(Target(), dataclasses.replace(options, oplog=True, read_preference="secondary"), config=3)
    assert {"--oplog", "--readPreference=secondary"} <= set(told)


def test_what_comes_after_the_beginning_is_left_out_and_what_goes_is_empty(options, tmp_path):
    _writes(tmp_path, "a", *[archive({("a", "x"): ONE})] * 2)
    _writes(
        tmp_path, "b", archive({("b", "gone"): ONE, ("b", "y"): ONE}), archive({("b", "y"): ONE, ("b", "new"): ONE})
    )
    dump, data = _dump(options, "a", "b")
    assert _counts(data) == {"a.x": 2, "b.gone": 0, "b.y": 2}
    assert sum(it.documents for it in dump.namespaces) == 4


def test_an_index_that_is_built_meanwhile_does_not_spoil_the_backup(options, tmp_path):
    index = {"v": {"$numberInt": "2"}, "key": {"at": {"$numberInt": "1"}}, "name": "at_1"}
    late = ArchiveWriter().begin(described("b", "y", indexes=[index], options={"capped": True}))
    _writes(tmp_path, "a", *[archive({("a", "x"): ONE})] * 2)
    _writes(tmp_path, "b", archive({("b", "y"): ONE}), late.block("b", "y", ONE).end("b", "y").bytes())
    dump, data = _dump(options, "a", "b")
    reader = Reader()
    list(reader.feed(data))
    compare(dump.namespaces, reader.close())
    assert [each.indexes for each in dump.namespaces] == [(), ()]


def test_an_oplog_is_kept_and_mongodbs_own_databases_are_not(options, tmp_path):
    oplog = described("", "oplog", metadata="", type="")
    writer = ArchiveWriter().begin(described("admin", "system.users"), described("a", "x"), oplog)
    writer.block("admin", "system.users", ONE).block("a", "x", ONE).end("admin", "system.users").end("a", "x")
    _writes(tmp_path, "all", writer.block("", "oplog", ONE[:1]).end("", "oplog").bytes())
    _, data = _dump(options, None)
    assert _counts(data) == {"a.x": 2, ".oplog": 1}


def test_what_the_scope_leaves_out_is_left_out_even_if_it_came_late(options, tmp_path):
    _writes(tmp_path, "a", archive({("a", "x"): ONE, ("a", "tmp1"): ONE}))
    _, data = _dump(options, "a", scope=Scope(excluded=("a.tmp*",)))
    assert _counts(data) == {"a.x": 2}


def test_a_report_that_is_missing_is_no_success(options, tmp_path):
    _writes(tmp_path, "a", archive({("a", "x"): ONE}))
    (tmp_path / "a/1.said").write_text("t\tsomething else\n")
    with pytest.raises(ToolFailed, match=r"reports nothing of a\.x"):
        _dump(options, "a")


def test_no_name_of_a_collection_keeps_the_others_from_being_backed_up(options, tmp_path):
    names = ("a\nb", "c (3 documents)", "d%)", " ", "done dumping a.c (9 documents)", "\te")
    _writes(tmp_path, "a", archive({("a", name): ONE for name in names}))
    _, data = _dump(options, "a")
    assert _counts(data) == {f"a.{name}": 2 for name in names}


def test_an_archive_that_breaks_off_is_no_success(options, tmp_path):
    _writes(tmp_path, "a", archive({("a", "x"): ONE}))
    path = tmp_path / "a/1"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Damaged, match="breaks off"):
        _dump(options, "a")


def test_a_program_that_is_not_there_is_named(options):
    missing = Options(options.mongo, "primary", program="/nowhere/mongodump")
    with pytest.raises(ConfigError, match="/nowhere/mongodump can't be run: No such file"):
        _dump(missing, "a")
