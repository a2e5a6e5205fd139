from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from apm_operator.backup import job
from apm_operator.backup.commandline import main
from apm_operator.backup.errors import Damaged
from apm_operator.backup.report import Report
from apm_operator.backup.storage.folder import Folder
from fakes.backups import manifest, store, verdict
from fakes.catalogue_contract import names

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    it = Folder(tmp_path / "shop" / "nightly")
    now = datetime.now(UTC)
    store(it, manifest("n1", now=now - timedelta(days=9)), verdict("n1"))
    store(it, manifest("n2", now=now - timedelta(days=8)), verdict("n2", good=False))
    store(it, manifest("n3", now=now - timedelta(days=7)))
    it.put("n4.manifest.json", b"{")
    return it


def refuse(_job: job.AnyJob) -> Report:
    raise Damaged("the digest of n1 is another")


def test_catalogue_of_all(folder: Folder, tmp_path: Path, capsys):
    assert main(["catalogue", f"--folder={tmp_path}", "--all"], refuse) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["shop/nightly/", f"n{number}"] for number in range(1, 5)]
    assert lines[1].endswith("verified, restored")
    assert lines[2].endswith("FAILED ITS TEST: RestoreDiffers")
    assert lines[3].endswith("written whole")
    assert lines[4].endswith("DAMAGED: the manifest of n4 is damaged")
    assert names(folder) == ["n1", "n2", "n3", "n4"]


def test_catalogue_of_all_finds_what_lies_below_a_prefix_that_nobody_remembers(tmp_path: Path, capsys):
    store(Folder(tmp_path / "europe" / "berlin" / "production" / "shop" / "nightly"), manifest("n1"))
    assert main(["catalogue", f"--folder={tmp_path}"], refuse) == 0
    assert capsys.readouterr().err == "there are no backups here; --all looks into the folders below as well\n"
    assert main(["catalogue", f"--folder={tmp_path}", "--all"], refuse) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["europe/berlin/production/shop/nightly/", "n1"]


@pytest.mark.usefixtures("folder")
def test_a_folder_that_may_not_be_read_hides_no_other(tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "lost+found").mkdir()
    scandir = os.scandir

    def guarded(path: Path) -> object:
        if path.name == "lost+found":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert main(["catalogue", f"--folder={tmp_path}", "--all"], refuse) == 0
    said = capsys.readouterr()
    assert said.err == "lost+found/: can't list the folder: Permission denied\n"
    assert len(said.out.splitlines()) == 5
    assert main(["catalogue", f"--folder={tmp_path}/lost+found"], refuse) == 1


def test_catalogue_as_json(folder: Folder, tmp_path: Path, capsys):
    assert main(["catalogue", f"--folder={tmp_path}/shop/nightly", "--json"], refuse) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == names(folder)
    assert (rows[0]["documents"], rows[0]["restored"], rows[0]["verified"]) == (3, True, True)
    assert "documents" not in rows[3]


def test_a_dry_run_says_what_would_go_and_removes_nothing(folder: Folder, tmp_path: Path, capsys):
    flags = ["prune", f"--folder={tmp_path}/shop/nightly", "--days=0"]
    store(folder, manifest("n5", now=datetime.now(UTC)))
    assert main([*flags, "--dry-run"], refuse) == 0
    said = capsys.readouterr().out
    assert sorted(names(folder)) == ["n1", "n2", "n3", "n4", "n5"]
    assert said.splitlines()[0] == "would remove n1: older than 0 days"
    assert main(flags, refuse) == 0
    assert capsys.readouterr().out == said.replace("would remove", "removed").replace("would stay", "stay")
    assert names(folder) == ["n5"]


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["catalogue"], "ConfigInvalid: say where the backups are"),
        (["catalogue", "--folder=a", "--bucket=b"], "ConfigInvalid: say where the backups are"),
        (["catalogue", "--folder=/no/such/folder"], "ConfigInvalid: there is no folder /no/such/folder"),
        (["catalogue", "--bucket=b", "--endpoint=ftp://a"], "ConfigInvalid: an S3 endpoint is http"),
        (["prune", "--folder=.", "--days=-1"], "ConfigInvalid: --days is 0 or more"),
        (["remove", "--folder=."], "ConfigInvalid: name the backups to remove"),
        (["remove", "--folder=.", "--all", "n1"], "ConfigInvalid: name the backups to remove"),
        (["verify", "--folder=."], "Damaged: the digest of n1 is another"),
    ],
)
def test_errors_are_one_line(flags, error, capsys):
    assert main(flags, refuse) == 1
    said = capsys.readouterr()
    assert said.err.startswith(error)
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_commands_are_jobs(tmp_path: Path, capsys):
    jobs: list[job.AnyJob] = []

    def execute(given: job.AnyJob) -> Report:
        jobs.append(given)
        return Report(result="Succeeded", reason="Completed", message="done")

    folder = f"--folder={tmp_path}"
    assert main(["verify", folder, "n1", "--identity-file=key"], execute) == 0
    assert main(["remove", folder, "--all"], execute) == 0
    restoring = ["restore", folder, "--uri-file=uri", "--database=apm=copy", "--database=other", "--replace"]
    assert main(restoring, execute) == 0
    verify, remove, restore = jobs
    assert isinstance(verify, job.VerifyJob)
    assert (verify.names, verify.age) == (("n1",), job.Age(identity_file="key"))
    assert isinstance(remove, job.RemoveJob)
    assert remove.names == ()
    assert isinstance(restore, job.RestoreJob)
    assert (restore.name, restore.replace, restore.scope.databases) == (None, True, ("apm", "other"))
    assert restore.renames == (job.Rename(source="apm", target="copy"),)
    assert capsys.readouterr().out == "Completed: done\n" * 3
