"""What mongorestore is told, and what its end means."""

import stat
from collections.abc import Iterable, Iterator

import pytest

from apm_operator.backup import mongorestore
from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.errors import ConfigError, SourceError, ToolFailed, ToolKilled
from apm_operator.backup.job import Mongo

NAMES = [(Key("shop", "orders"), Key("shop", "apm_restore_1"))]
REPORT = "2026-11-21T05:00:00.000+0000\t{} document(s) restored successfully. {} document(s) failed to restore."


@pytest.fixture
def target(tmp_path):
    (tmp_path / "uri").write_text("mongodb://apm:s3cret@127.0.0.1:1/")
    return Mongo(uri_file=str(tmp_path / "uri"))


@pytest.fixture
def tool(tmp_path):
    def make(said: str, code: int = 0, read: str = "cat >/dev/null") -> str:
        program = tmp_path / "mongorestore"
        program.write_text(
            f"#!/bin/sh\necho \"$@\" >{tmp_path}/arguments\n{read}\nprintf '%s\\n' '{said}' >&2\nexit {code}\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return str(program)

    return make


def _restore(target: Mongo, program: str, archive: Iterable[bytes] = (b"x",)) -> int:
    return mongorestore.restore(target, archive, NAMES, program=program)


def test_the_documents_are_those_of_its_own_report(target, tool, tmp_path):
    assert _restore(target, tool(REPORT.format(7, 0))) == 7
    arguments = (tmp_path / "arguments").read_text()
    assert "--nsInclude=shop.orders --nsFrom=shop.orders --nsTo=shop.apm_restore_1" in arguments
    assert "s3cret" not in arguments


@pytest.mark.parametrize(("mean", "bounds"), [(0, (2, 1000)), (100, (2, 1000)), (1 << 20, (1, 4)), (15 << 20, (1, 1))])
def test_large_documents_are_inserted_few_at_a_time(target, tool, tmp_path, mean, bounds):
    mongorestore.restore(target, [b"x"], NAMES, mean=mean, program=tool(REPORT.format(1, 0)))
    told = (tmp_path / "arguments").read_text()
    assert "--numInsertionWorkersPerCollection={} --batchSize={} ".format(*bounds) in told


def test_being_killed_says_nothing_against_the_backup(target, tool):
    with pytest.raises(ToolKilled, match="signal 9: most likely it needed more memory") as caught:
        _restore(target, tool("", read="kill -9 $$"))
    assert caught.value.again


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        (REPORT.format(5, 2), 0, "could not restore 2 of 7 documents"),
        ("done", 0, "did not report"),
        ("Failed: something; the uri is mongodb://apm:s3cret@127.0.0.1:1/", 1, "status 1"),
    ],
)
def test_an_exit_code_is_not_taken_on_trust(target, tool, said, code, message):
    with pytest.raises(ToolFailed, match=message) as caught:
        _restore(target, tool(said, code))
    assert "s3cret" not in str(caught.value)


def test_one_that_ends_before_the_archive_does_has_failed(target, tool):
    endless = (b"x" * 65536 for _ in range(100))
    with pytest.raises(ToolFailed, match="before it had read"):
        _restore(target, tool(REPORT.format(7, 0), read="true"), endless)


def test_a_lost_connection_says_nothing_against_the_backup(target, tool):
    with pytest.raises(SourceError, match="lost its connection"):
        _restore(target, tool("Failed: connection(127.0.0.1:1[-3]) socket was unexpectedly closed: EOF", 1))


def test_a_program_that_is_not_there_says_nothing_against_the_backup(target):
    with pytest.raises(ConfigError, match="/nowhere/mongorestore can't be run"):
        _restore(target, "/nowhere/mongorestore")


def test_an_error_of_the_archive_ends_it(target, tool):
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise ToolFailed("the archive breaks off")

    with pytest.raises(ToolFailed, match="breaks off"):
        _restore(target, tool(REPORT.format(1, 0)), broken())


def test_names_are_taken_as_they_are():
    assert mongorestore.escaped(Key("shop", r"a*b\c")) == r"shop.a\*b\\c"
    with pytest.raises(ConfigError, match="exclude it"):
        mongorestore.escaped(Key("shop", "a$b"))
