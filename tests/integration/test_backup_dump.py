"""Backups by the real mongodump of a real server: whole or not there at all."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bson
import pytest
from pymongo import MongoClient
from pyrage import x25519

from apm_operator.backup.manifest import Manifest
from apm_operator.backup.report import Report
from apm_operator.backup.verify import verify
from cluster import gobuild
from fakes.proxy import proxy

DOCUMENTS = 3000
KILLS = int(os.environ.get("APM_KILLS", "10"))


@pytest.fixture(scope="module")
def server(mongodb_uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient(mongodb_uri) as client:
        yield client


@pytest.fixture(scope="module")
def database(server) -> Iterator[str]:
    """More than mongodump writes at a time, which is 16 MiB; nobody changes it."""
    with _filled(server, 12_000) as name:
        yield name


@contextmanager
def _filled(server: MongoClient[dict[str, Any]], size: int) -> Iterator[str]:
    name = f"backup_{secrets.token_hex(4)}"
    orders = server[name]["orders"]
    orders.insert_many(
        {"_id": number, "text": f"order {number}", "raw": bson.Binary(secrets.token_bytes(size))}
        for number in range(DOCUMENTS)
    )
    orders.create_index("text", unique=True)
    server[name]["customers"].insert_many({"_id": number} for number in range(10))
    server[name].create_collection("empty")
    try:
        yield name
    finally:
        for each in server.list_database_names():
            if each.startswith(name):
                server.drop_database(each)


class Job:
    """Jobs of one policy, with a folder as storage."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self.store = folder, folder / "store"
        self.uri_file = folder / "uri"
        self.uri_file.write_text(uri)

    def environment(self, name: str, scope: dict[str, Any], **more: Any) -> dict[str, str]:
        job = {
            "command": "backup",
            "namespace": "shop",
            "policy": "nightly",
            "storage": {"kind": "folder", "path": str(self.store)},
            "source": {"uriFile": str(self.uri_file)},
            "scope": scope,
            **more,
        }
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": "operator",
            "APM_JOB": json.dumps(job),
            "APM_BACKUP_NAME": name,
            "APM_TERMINATION_LOG": str(self.folder / "termination-log"),
            "APM_MONGODUMP": str(gobuild.program("mongodump")),
            "APM_MONGORESTORE": str(gobuild.program("mongorestore")),
        }

    @contextmanager
    def start(self, name: str, scope: dict[str, Any], **more: Any) -> Iterator[subprocess.Popen[bytes]]:
        (self.folder / "termination-log").unlink(missing_ok=True)
        command = [sys.executable, "-m", "apm_operator.backup"]
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=self.environment(name, scope, **more), stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def run(self, name: str, scope: dict[str, Any], **more: Any) -> Report:
        with self.start(name, scope, **more) as process:
            code = process.wait(timeout=120)
        report = self.report()
        assert code == (report.result != "Succeeded")
        return report

    def verify(self, *names: str) -> Report:
        environment = self.environment("", {})
        job = json.loads(environment["APM_JOB"]) | {"command": "verify", "names": names}
        job = {key: value for key, value in job.items() if key not in {"source", "scope"}}
        command = [sys.executable, "-m", "apm_operator.backup"]
        subprocess.run(command, env={**environment, "APM_JOB": json.dumps(job)}, check=False, capture_output=True)
        return self.report()

    def report(self) -> Report:
        return Report.model_validate_json((self.folder / "termination-log").read_text())

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.store.iterdir()) if self.store.exists() else []

    def manifest(self, name: str) -> Manifest:
        return Manifest.model_validate_json((self.store / f"{name}.manifest.json").read_text())


@pytest.fixture
def job(tmp_path: Path, mongodb_uri: str) -> Job:
    return Job(tmp_path, mongodb_uri)


def _restore(uri: str, archive: Path, source: str, target: str, tmp_path: Path) -> str:
    config = tmp_path / "restore.yaml"
    config.write_text(json.dumps({"uri": uri}))
    command = [str(gobuild.program("mongorestore")), f"--config={config}", "--gzip", f"--archive={archive}"]
    done = subprocess.run(
        [*command, f"--nsInclude={source}.*", f"--nsFrom={source}.*", f"--nsTo={target}.*"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


def test_a_backup_is_restored_by_the_plain_tool(job, database, server, mongodb_uri, tmp_path):
    report = job.run("b1", {"databases": [database]})
    assert report.backup is not None, report.message
    assert (report.backup.documents, report.backup.collections) == (DOCUMENTS + 10, 3)
    assert job.files() == ["b1.archive.gz", "b1.manifest.json", "b1.verdict.json"]
    orders = next(it for it in job.manifest("b1").namespaces if it.collection == "orders")
    assert [index["name"] for index in orders.indexes] == ["text_1"]
    assert orders.indexes[0]["unique"] is True
    copy = f"{database}_copy"
    said = _restore(mongodb_uri, job.store / "b1.archive.gz", database, copy, tmp_path)
    assert f"{DOCUMENTS + 10} document(s) restored successfully. 0 document(s) failed" in said
    for collection in ("orders", "customers", "empty"):
        assert list(server[copy][collection].find()) == list(server[database][collection].find())
    assert "text_1" in server[copy]["orders"].index_information()


def test_several_databases_are_one_archive(job, database, server, mongodb_uri, tmp_path):
    other = f"{database}_other"
    server[other]["a"].insert_one({"_id": 1})
    server[other]["b"].insert_one({"_id": 2})
    scope = {"namespaces": [f"{database}.orders", f"{other}.*"], "excluded": ["*.b"]}
    report = job.run("b1", scope)
    assert report.result == "Succeeded", report.message
    found = {(it.database, it.collection): it.documents for it in job.manifest("b1").namespaces}
    assert found == {(database, "orders"): DOCUMENTS, (other, "a"): 1}
    for source, documents in ((database, DOCUMENTS), (other, 1)):
        said = _restore(mongodb_uri, job.store / "b1.archive.gz", source, f"{source}_all", tmp_path)
        assert f"{documents} document(s) restored successfully. 0 " in said


@pytest.mark.parametrize(
    ("scope", "options", "reason", "told"),
    [
        ({"databases": ["there-is-none"]}, {}, "SourceUnavailable", "does not have there-is-none"),
        ({"namespaces": ["there-is.none"]}, {}, "SourceUnavailable", "does not have there-is.none"),
        ({"excluded": ["*"]}, {}, "SourceUnavailable", "nothing to dump"),
        ({}, {"oplog": True}, "ConfigInvalid", "no replica set"),
        ({"databases": ["a"]}, {"oplog": True}, "ConfigInvalid", "needs the whole server"),
        ({}, {"readPreference": "any"}, "ConfigInvalid", "no read preference"),
    ],
)
def test_what_can_not_be_dumped_is_no_backup(job, scope, options, reason, told):
    report = job.run("b1", scope, **options)
    assert (report.result, report.reason) == ("Failed", reason)
    assert told in report.message
    assert job.files() == []


def test_no_secret_is_in_arguments_or_logs(job, database, mongodb_uri):
    password = urlsplit(mongodb_uri).password or ""
    seen: list[str] = []
    with job.start("b1", {"databases": [database]}) as process:
        while process.poll() is None:
            seen += _arguments_below(process.pid)
    assert any("mongodump" in line for line in seen)
    assert len(password) > 8
    for text in (*seen, job.log(), (job.folder / "termination-log").read_text()):
        assert password not in text
    job.uri_file.write_text(mongodb_uri.replace(password, "wrong-" + password))
    report = job.run("b2", {"databases": [database]})
    assert report.reason == "SourceUnavailable"
    assert password not in job.log() + report.message


def test_a_backup_that_is_killed_anywhere_leaves_none_and_the_next_one_succeeds(job, database):
    job.run("whole", {"databases": [database]})
    whole = (job.store / "whole.archive.gz").stat().st_size
    for number in range(KILLS):
        partial = job.store / "b1.archive.gz.partial"
        partial.unlink(missing_ok=True)
        with job.start("b1", {"databases": [database]}) as process:
            # At a share of its file, at the last of which it is verifying already.
            _until_grown(partial, whole * number // KILLS, process)
            below = _children(process.pid)
            process.kill()
            process.wait()
        assert "b1.manifest.json" not in job.files()
        _until_gone(below)
    report = job.run("b1", {"databases": [database]})
    assert report.result == "Succeeded"
    assert "b1.archive.gz.partial" not in job.files()


def test_a_backup_that_is_told_to_end_removes_its_file(job, database):
    partial = job.store / "b1.archive.gz.partial"
    with job.start("b1", {"databases": [database]}) as process:
        _until_grown(partial, 1, process)
        process.terminate()
        assert process.wait(timeout=20) == os.EX_TEMPFAIL
    assert (job.report().reason, job.files()) == ("Stopped", [])


def test_a_pod_that_comes_after_the_backup_is_done_says_so_again(job, database):
    first = job.run("b1", {"databases": [database]})
    again = job.run("b1", {"databases": [database]})
    assert again.backup == first.backup
    stored = job.store / "b1.archive.gz"
    broken = bytearray(stored.read_bytes())
    broken[len(broken) // 2] ^= 1
    stored.write_bytes(broken)
    assert job.run("b1", {"databases": [database]}).reason == "Damaged"


async def test_mongodb_ends_in_the_middle(job, database, mongodb_uri):
    parts = urlsplit(mongodb_uri)
    async with proxy(parts.hostname or "", parts.port or 27017) as way:
        netloc = f"{parts.username}:{parts.password}@127.0.0.1:{way.port}"
        job.uri_file.write_text(parts._replace(netloc=netloc, query="serverSelectionTimeoutMS=2000").geturl())
        partial = job.store / "b1.archive.gz.partial"
        with job.start("b1", {"databases": [database]}) as process:
            await asyncio.to_thread(_until_grown, partial, 1, process)
            await way.cut()
            assert await asyncio.to_thread(process.wait, 60) == os.EX_TEMPFAIL
        assert job.report().reason in {"ToolFailed", "SourceUnavailable"}
        assert job.files() == []
        way.mend()
        report = await asyncio.to_thread(job.run, "b1", {"databases": [database]})
        assert report.result == "Succeeded", report.message


def test_a_backup_is_restored_for_a_test_and_encrypted(job, server):
    with _filled(server, 200) as name:
        server[name]["orders"].create_index("at", expireAfterSeconds=3600)
        scratch = {"restoreTest": {"scratch": f"{name}_scratch", "sample": 50}}
        age = {"age": {"recipients": [str(x25519.Identity.generate().to_public())]}}
        report = job.run("b1", {"databases": [name]}, **scratch, **age)
        assert report.result == "Succeeded", report.message
        (tested,) = report.tests
        assert (tested.restored, tested.good, tested.documents) == (True, True, DOCUMENTS + 10)
        assert [each for each in server.list_database_names() if each.startswith(name)] == [name]
    assert job.files() == ["b1.archive.gz.age", "b1.manifest.json", "b1.verdict.json"]
    assert (job.store / "b1.archive.gz.age").read_bytes().startswith(b"age-encryption.org/v1\n")


def test_what_a_restore_test_that_was_killed_has_left_goes_with_the_next_one(job, database, server):
    scratch = f"{database}_scratch"
    test = {"restoreTest": {"scratch": scratch, "sample": 5}}

    def left() -> list[str]:
        return [name for name in server.list_database_names() if name.startswith(scratch)]

    with job.start("b1", {"databases": [database]}, **test) as process:
        deadline = time.monotonic() + 60
        while not left():
            assert process.poll() is None, "the Job has ended"
            assert time.monotonic() < deadline
        below = _children(process.pid)
        process.kill()
        process.wait()
    _until_gone(below)
    assert left()
    report = job.run("b1", {"databases": [database]}, **test)
    assert [each.good for each in report.tests] == [True]
    assert left() == []


def test_a_backup_that_is_not_restorable_is_marked(job, server, tmp_path):
    broken = tmp_path / "mongorestore"
    broken.write_text("#!/bin/sh\nexec cat >/dev/null\n")
    broken.chmod(0o755)
    with _filled(server, 200) as name:
        environment = job.environment("b1", {"databases": [name]}, restoreTest={"scratch": f"{name}_scratch"})
        command = [sys.executable, "-m", "apm_operator.backup"]
        done = subprocess.run(
            command, env={**environment, "APM_MONGORESTORE": str(broken)}, capture_output=True, check=False
        )
    report = job.report()
    assert (done.returncode, report.result, report.reason) == (1, "Failed", "ToolFailed")
    verdict = json.loads((job.store / "b1.verdict.json").read_text())
    assert (verdict["good"], verdict["restored"]) == (False, True)


def test_what_lay_for_a_while_is_verified_again(job, database):
    job.run("b1", {"databases": [database]})
    assert job.verify().tests[0].good
    stored = job.store / "b1.archive.gz"
    broken = bytearray(stored.read_bytes())
    broken[len(broken) // 3] ^= 4
    stored.write_bytes(broken)
    report = job.verify("b1")
    assert (report.result, report.reason, report.tests[0].good) == ("Failed", "Damaged", False)
    # What is known to be damaged is not looked for by itself.
    assert job.verify().reason == "BackupMissing"


def test_writes_go_on_meanwhile(job, server):
    done = threading.Event()

    def writing(name: str) -> None:
        number = DOCUMENTS
        while not done.is_set():
            server[name]["orders"].insert_one({"_id": number, "text": f"order {number}"})
            server[name]["late"].insert_one({"_id": number})
            number += 1

    with _filled(server, 200) as name:
        thread = threading.Thread(target=writing, args=(name,))
        thread.start()
        try:
            report = job.run("b1", {"databases": [name]})
        finally:
            done.set()
            thread.join()
    assert report.result == "Succeeded", report.message
    with (job.store / "b1.archive.gz").open("rb") as file:
        found = {it.collection: it.documents for it in verify(file).namespaces}
    # Everything that was there when it began is in it.
    assert found["orders"] >= DOCUMENTS
    assert found["customers"] == 10


def _until_grown(file: Path, size: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not file.exists() or file.stat().st_size < size:
        assert process.poll() is None, "the Job has ended"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _arguments_below(pid: int) -> list[str]:
    try:
        return [Path(f"/proc/{each}/cmdline").read_bytes().decode() for each in (pid, *_children(pid))]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _until_gone(pids: list[int]) -> None:
    """mongodump ends by itself when nobody reads its pipe any more; in a pod the kernel ends it at once."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
