"""The order of a backup, with a mongodump and a MongoDB that are made up."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyrage import x25519

from apm_operator.backup import layout, run
from apm_operator.backup.errors import (
    BackupError,
    Damaged,
    Differs,
    Exists,
    Missing,
    SourceError,
    StorageError,
    StorageFull,
    ToolFailed,
)
from apm_operator.backup.job import Age, BackupJob, FolderStorage, Mongo, RestoreTest
from apm_operator.backup.manifest import Manifest, Verdict
from apm_operator.backup.report import StoreFacts
from apm_operator.backup.report import TestFacts as Facts
from apm_operator.backup.run import Backup, Stored
from apm_operator.backup.scope import Target
from apm_operator.backup.storage.folder import Folder
from fakes.archives import archive

DOCUMENTS = [{"_id": number} for number in range(20)]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Writes an archive and reports it, as mongodump would."""
    (tmp_path / "archive").write_bytes(archive({("shop", "orders"): DOCUMENTS}))
    path = tmp_path / "mongodump"
    said = "printf '2026-01-01T00:00:00.000+0000\\tdone dumping shop.orders (%s documents)\\n' \"$(cat DIR/count)\" >&2"
    path.write_text(f"#!/bin/sh\ncat DIR/archive\n{said}\nexit $(cat DIR/code)\n".replace("DIR", str(tmp_path)))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "count").write_text("20")
    (tmp_path / "code").write_text("0")
    return path


@pytest.fixture
def make(tmp_path, program, monkeypatch):
    (tmp_path / "uri").write_text("mongodb://u:geheim@h/")
    monkeypatch.setattr(run, "plan", lambda *_, **__: (Target("shop"),))

    def made(**parts: Any) -> Backup:
        job = BackupJob(
            namespace="ns",
            policy="nightly",
            storage=FolderStorage(path="/nowhere"),
            source=Mongo(uri_file=str(tmp_path / "uri")),
            restore_test=RestoreTest(scratch="s", sample=5) if "test" in parts else None,
            age=parts.pop("age", None),
        )
        tell = parts.pop("tell", lambda *_: None)
        storage = parts.pop("storage", Folder(tmp_path / "store"))
        return Backup(job=job, name="b1", storage=storage, tell=tell, program=str(program), **parts)

    return made


def _files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "store").glob("*"))


def test_the_manifest_comes_last(make, tmp_path):
    calls: list[str] = []

    class Watched(Folder):
        def publish(self, key: str) -> None:
            calls.append(f"publish {key}")
            super().publish(key)

        def put(self, key: str, data: bytes, *, replace: bool = False) -> None:
            calls.append(f"put {key}")
            super().put(key, data, replace=replace)

    report = make(storage=Watched(tmp_path / "store")).run()
    assert report.result == "Succeeded"
    # A folder publishes what it puts, too.
    assert [call for call in calls if call != "publish b1.manifest.json"] == [
        "publish b1.archive.gz",
        "put b1.manifest.json",
        "put b1.verdict.json",
    ]
    manifest = Manifest.model_validate_json((tmp_path / "store/b1.manifest.json").read_text())
    assert (manifest.documents, manifest.policy, manifest.data) == (20, "nightly", "b1.archive.gz")
    assert manifest.size == (tmp_path / "store/b1.archive.gz").stat().st_size


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("count", "19", "mongodump reports 19 of shop.orders, but wrote 20"),
        ("code", "1", "mongodump ended with exit code 1"),
        ("archive", b"", "mongodump wrote no archive|breaks off"),
        ("archive", archive({("shop", "orders"): DOCUMENTS})[:-3], "breaks off"),
        ("archive", archive({}), "nothing to dump"),
    ],
)
def test_what_mongodump_gets_wrong_leaves_nothing(make, tmp_path, file, content, told):
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BackupError, match=told):
        make().run()
    assert _files(tmp_path) == []


class Broken(Folder):
    """A storage that fails, or lies, at one of its methods."""

    def __init__(self, path: Path, at: str) -> None:
        super().__init__(path)
        self.at = at

    def read_pending(self, key: str) -> Any:
        if self.at == "flip":
            path = self._partial(key)
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 8
            path.write_bytes(data)
        return super().read_pending(key)

    def publish(self, key: str) -> None:
        if self.at == "publish":
            raise StorageFull("no space")
        super().publish(key)

    def put(self, key: str, data: bytes, *, replace: bool = False) -> None:
        if self.at in key:
            raise StorageError("gone")
        if self.at == "changed" and key.endswith(layout.MANIFEST):
            data = data.replace(b"nightly", b"nightlx")
        super().put(key, data, replace=replace)
        if self.at == "unanswered" and key.endswith(layout.MANIFEST):
            raise StorageError("no answer, but it is there")


@pytest.mark.parametrize(
    ("at", "error"),
    [
        ("flip", Damaged),
        ("publish", StorageFull),
        ("manifest", StorageError),
        ("unanswered", StorageError),
        ("changed", Damaged),
    ],
)
def test_what_the_storage_gets_wrong_leaves_nothing(make, tmp_path, at, error):
    with pytest.raises(error):
        make(storage=Broken(tmp_path / "store", at)).run()
    assert _files(tmp_path) == []


def test_what_another_pod_has_stored_meanwhile_is_left_alone(make, tmp_path):
    class Late(Folder):
        def publish(self, key: str) -> None:
            if key == "b1.archive.gz":
                make().run()  # a pod that was thought dead
            super().publish(key)

    with pytest.raises((Exists, Missing)):
        make(storage=Late(tmp_path / "store")).run()
    assert _files(tmp_path) == ["b1.archive.gz", "b1.manifest.json", "b1.verdict.json"]
    assert make().run().result == "Succeeded"


def test_whatever_ends_the_work_leaves_nothing(make, tmp_path):
    for phase in ("Dumping", "Verifying"):

        def tell(now: str, *_: Any, phase: str = phase) -> None:
            if now == phase:
                raise SourceError("enough")

        with pytest.raises(SourceError, match="enough"):
            make(tell=tell).run()
        assert _files(tmp_path) == []


def _tested(good: bool) -> Facts:  # noqa: FBT001 - the verdict
    return Facts(name="b1", at=datetime.now(UTC), restored=True, good=good, documents=20)


def test_the_restore_test_gets_a_sample_and_gives_the_verdict(make, tmp_path):
    seen: list[Stored] = []

    def test(stored: Stored, _: Any) -> Facts:
        seen.append(stored)
        return _tested(good=True)

    report = make(test=test).run()
    assert [each.restored for each in report.tests] == [True]
    assert len(seen[0].sampled) == 5
    verdict = Verdict.model_validate_json((tmp_path / "store/b1.verdict.json").read_text())
    assert (verdict.good, verdict.restored) == (True, True)


def test_a_test_that_fails_marks_the_backup_and_one_that_could_not_be_made_does_not(make, tmp_path):
    def differs(*_: Any) -> Facts:
        raise Differs("3 documents are missing")

    report = make(test=differs).run()
    assert (report.result, report.reason, report.message) == ("Failed", "RestoreDiffers", "3 documents are missing")
    assert json.loads((tmp_path / "store/b1.verdict.json").read_text())["good"] is False

    def away(*_: Any) -> Facts:
        raise SourceError("no server")

    with pytest.raises(SourceError):
        make(test=away).run()
    # The verdict of before stands; the backup was taken up where it was.
    assert json.loads((tmp_path / "store/b1.verdict.json").read_text())["reason"] == "RestoreDiffers"


def _verdict(tmp_path: Path) -> Verdict:
    return Verdict.model_validate_json((tmp_path / "store/b1.verdict.json").read_text())


def test_a_server_that_fails_a_later_test_does_not_take_back_what_one_has_shown(make, tmp_path):
    assert make(test=lambda *_: _tested(good=True)).run().result == "Succeeded"

    def full(*_: Any) -> Facts:
        raise ToolFailed("mongorestore ended with status 1; it said: no space left on device")

    assert make(test=full).run().reason == "ToolFailed"
    assert (_verdict(tmp_path).good, _verdict(tmp_path).restored) == (True, True)


def test_what_was_found_is_told_where_it_can_not_be_kept(make, tmp_path):
    with pytest.raises(StorageError, match="b1 was found good; but that can't be kept: gone"):
        make(storage=Broken(tmp_path / "store", "verdict")).run()


def test_a_later_restore_has_the_last_word(make, tmp_path):
    def differs(*_: Any) -> Facts:
        raise Differs("3 documents are missing")

    for good, test in ((False, differs), (True, lambda *_: _tested(good=True)), (False, differs)):
        make(test=test).run()
        assert _verdict(tmp_path).good is good


def test_what_was_found_of_an_earlier_backup_of_the_name_says_nothing(make, tmp_path):
    make(test=lambda *_: _tested(good=True)).run()
    (tmp_path / "store/b1.manifest.json").unlink()  # as a removal does first

    def full(*_: Any) -> Facts:
        raise ToolFailed("mongorestore ended with status 1; it said: no space left on device")

    make(test=full).run()
    assert not _verdict(tmp_path).good


@pytest.mark.parametrize("good", [True, False])
def test_reading_a_backup_again_says_less_than_its_restore(make, tmp_path, good):
    def test(*_: Any) -> Facts:
        if not good:
            raise Differs("3 documents are missing")
        return _tested(good=True)

    make(test=test).run()
    assert make().run().result == "Succeeded"  # without a test: it is only read
    assert (_verdict(tmp_path).good, _verdict(tmp_path).restored) == (good, True)


@pytest.mark.parametrize("kept", [True, False], ids=["key in a Secret", "key of the run alone"])
def test_a_test_that_could_not_be_made_is_made_by_another_pod_that_has_the_key(make, tmp_path, kept):
    key = x25519.Identity.generate()
    (tmp_path / "identity").write_text(str(key))
    file = str(tmp_path / "identity") if kept else None

    def away(*_: Any) -> Facts:
        raise SourceError("no server")

    with pytest.raises(SourceError) as caught:
        make(test=away, age=Age(recipients=(str(key.to_public()),), identity_file=file)).run()
    assert caught.value.again is kept


def test_what_another_job_has_stored_under_the_name_is_not_taken_for_its_own(make, tmp_path):
    assert make(run_id="monday").run().result == "Succeeded"
    with pytest.raises(Exists, match="lies in the storage already: choose another name"):
        make(run_id="tuesday").run()
    again = make(run_id="monday").run()  # another pod of the same Job
    assert (again.result, _files(tmp_path)) == ("Succeeded", ["b1.archive.gz", "b1.manifest.json", "b1.verdict.json"])


def test_leftovers_go_before_and_old_backups_after(make):
    phases: list[str] = []
    facts = StoreFacts(backups=1, verified=1, size=1)

    def prune() -> StoreFacts:
        phases.append("prune")
        return facts

    report = make(prune=prune, tell=lambda phase, *_: phases.append(phase)).run()
    assert report.store == facts
    assert (phases[0], phases[-1]) == ("prune", "prune")
    assert "Dumping" in phases


def test_credentials_that_may_not_remove_anything_will_do(make, tmp_path):
    class Worm(Folder):
        def remove(self, key: str, *, pending: bool = False) -> None:  # noqa: ARG002 - as the method has it
            raise StorageError(f"can't remove {key}: the S3 server says AccessDenied")

    assert make(storage=Worm(tmp_path / "store")).run().result == "Succeeded"


def test_a_storage_that_can_not_be_pruned_does_not_spoil_the_backup(make):
    def prune() -> StoreFacts:
        raise StorageError("no right to remove")

    report = make(prune=prune).run()
    assert report.result == "Succeeded"
    assert "could not be removed: no right to remove" in report.message
