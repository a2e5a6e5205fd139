"""How a Job's program ends: its exit code decides whether another pod tries."""

from __future__ import annotations

import json
import os

import pytest

from apm_operator.backup import __main__ as program
from apm_operator.backup import errors
from apm_operator.backup.job import FolderStorage, PruneJob, Retention
from apm_operator.backup.report import Report

FAILED = 1


@pytest.fixture
def ending(monkeypatch, tmp_path):
    """Exit code and report of a Job in which something was raised."""

    def end(error: Exception) -> tuple[int, Report]:
        def execute(*_: object) -> Report:
            raise error

        monkeypatch.setattr(program, "execute", execute)
        return program.main(), Report.model_validate_json((tmp_path / "log").read_text())

    job = PruneJob(
        namespace="shop", policy="nightly", storage=FolderStorage(path="/nowhere"), retention=Retention(days=1)
    )
    monkeypatch.setenv("APM_JOB", json.dumps(job.model_dump(mode="json", by_alias=True)))
    monkeypatch.setenv("APM_TERMINATION_LOG", str(tmp_path / "log"))
    monkeypatch.setattr("sys.argv", ["apm_operator.backup"])
    return end


@pytest.mark.parametrize(
    "error",
    [
        errors.SourceError("MongoDB does not answer"),
        errors.StorageAway("status 500"),
        errors.DumpFailed("the collection was dropped"),
        errors.Stopped("drained"),
        errors.LeaseLost("another pod has it"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_tried_again(ending, error):
    code, report = ending(error)
    assert code == os.EX_TEMPFAIL
    assert (report.result, report.reason, report.message) == ("Failed", error.reason, str(error))


@pytest.mark.parametrize(
    "error",
    [
        errors.SourceRefused("wrong password"),
        errors.StorageError("no such bucket"),
        errors.StorageFull("no space"),
        errors.Missing("no backup"),
        errors.ToolFailed("mongorestore failed"),
        errors.ConfigError("no recipient"),
        errors.Damaged("a bit is wrong"),
        errors.LeaseBusy("an hour was not enough"),
        errors.TimedOut("too slow"),
        ValueError("a defect"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_would_fail_again_is_not(ending, error):
    code, report = ending(error)
    assert code == FAILED
    assert report.result == "Failed"
