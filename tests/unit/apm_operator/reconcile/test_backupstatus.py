"""Statuses of Backups and of their policy, from the reports of Jobs."""

import json
from datetime import UTC, datetime
from typing import Any

from apm_operator.backup import report as told
from apm_operator.backup.report import BackupFacts, Progress, Report, StoreFacts
from apm_operator.reconcile import backupstatus, policystatus
from apm_operator.reconcile.ending import Ending
from apm_operator.reconcile.policystatus import Runs, ToldBackup
from apm_operator.reconcile.runs import JobFacts, RunPod

NOW = datetime(2026, 5, 1, 2, 10, tzinfo=UTC)
STARTED, FINISHED = datetime(2026, 5, 1, 2, 0, tzinfo=UTC), datetime(2026, 5, 1, 2, 5, tzinfo=UTC)
FACTS = BackupFacts(
    name="nightly-backup-1",
    started=STARTED,
    finished=FINISHED,
    size=100,
    archive_size=300,
    documents=7,
    collections=2,
    sha256="ab",
    encrypted=False,
)
JOB = JobFacts(
    uid="j", version="1", command="backup", owner="c", slot=0.0, started="2026-05-01T02:00:01Z", result="Complete"
)


def ending(*, succeeded: bool = True, test: dict[str, Any] | None = None) -> Ending:
    good = {"name": FACTS.name, "at": NOW, "restored": True, "good": True}
    tests = () if test is None else (told.TestFacts(**(good | test)),)
    reason = "Completed" if succeeded else "RestoreDiffers"
    report = Report(
        result="Succeeded" if succeeded else "Failed", reason=reason, message="So.", backup=FACTS, tests=tests
    )
    return Ending(succeeded, reason, "So.", report)


def done(end: Ending, *, tested: bool = True) -> dict[str, Any]:
    return backupstatus.ended({}, end, JOB, tested=tested, days=30, generation=1, now=NOW)


def verified(status: dict[str, Any]) -> str:
    return next(each["reason"] for each in status["conditions"] if each["type"] == "Verified")


def test_a_backup_that_was_restored_is_verified():
    status = done(ending(test={}))
    assert (status["phase"], status["verified"], status["verifiedTime"]) == (
        "Completed",
        "True",
        "2026-05-01T02:10:00Z",
    )
    assert (status["size"], status["documents"], status["expires"]) == (100, 7, "2026-05-31T02:00:00Z")
    assert [each["type"] for each in status["conditions"]] == ["Ready", "Verified"]


def test_without_its_restore_test_a_backup_does_not_count_as_verified():
    assert done(ending())["verified"] == "Unknown"
    assert done(ending(test={"restored": False}))["verified"] == "Unknown"
    assert done(ending(), tested=False)["verified"] == "True"


def test_a_backup_that_does_not_restore_has_failed():
    status = done(ending(succeeded=False, test={"good": False, "reason": "RestoreDiffers", "message": "1 is less."}))
    assert (status["phase"], status["verified"]) == ("Failed", "False")
    assert "expires" not in status
    assert verified(status) == "RestoreDiffers"


def test_a_job_without_a_report_leaves_nothing_to_restore_from():
    status = done(Ending(False, "OutOfMemory", "Killed."))
    assert (status["phase"], status["verified"], status.get("sha256")) == ("Failed", "False", None)


def test_progress_is_told_while_it_runs_and_no_longer():
    far = Progress(run="nightly-backup-1", holder="pod", phase="Dumping", documents=5, bytes=50, percent=10)
    status = backupstatus.running({}, JOB, far, started=True, generation=1, now=NOW)
    assert status["phase"] == "Running"
    assert status["progress"] == {"documents": 5, "bytes": 50, "percent": 10}
    after = backupstatus.ended(status, ending(test={}), JOB, tested=True, days=30, generation=1, now=NOW)
    assert "progress" not in after


def test_a_later_test_changes_the_verdict_and_nothing_else():
    before = done(ending(test={}))
    later = NOW.replace(day=2)
    found = told.TestFacts(name=FACTS.name, at=later, restored=True, good=False, reason="Damaged", message="A bit.")
    status = backupstatus.retested(before, found, generation=1, now=later)
    assert (status["phase"], status["verified"], verified(status)) == ("Completed", "False", "Damaged")
    assert backupstatus.retested(status, found, generation=1, now=later) == status
    older = found.model_copy(update={"at": NOW.replace(hour=1), "good": True})
    assert backupstatus.retested(status, older, generation=1, now=later) == status


def runs(backups: dict[str, dict[str, Any]], store: StoreFacts | None = None) -> Runs:
    report = Report(result="Succeeded", reason="Completed", message="", store=store)
    pod = RunPod("x", "1", "one", "j", "1", ended="Completed", report=report.to_json())
    told = {name: ToldBackup(f"uid-{name}", status) for name, status in backups.items()}
    return Runs.of(told, {"one": JOB} if store else {}, [pod])


def test_a_policy_tells_of_its_newest_backup():
    good, bad = done(ending(test={})), done(Ending(False, "OutOfMemory", "Killed."))
    both = runs({"nightly-backup-1": good, "nightly-backup-2": bad})
    status = policystatus.facts({}, both)
    assert status == {
        "lastBackup": "nightly-backup-1",
        "lastSuccessTime": "2026-05-01T02:05:00Z",
        "lastVerifiedTime": "2026-05-01T02:10:00Z",
        "size": 100,
        "documents": 7,
        "duration": 300.0,
        "failures": {"OutOfMemory": 1},
        "countedFailures": ["uid-nightly-backup-2"],
    }
    assert policystatus.verified({}, both).reason == "BackupFailed"
    assert policystatus.verified({}, runs({"nightly-backup-1": good})).truth == "True"
    assert policystatus.verified({}, runs({})).truth == "Unknown"


def test_what_was_told_of_a_backup_stays_when_its_resource_is_deleted():
    before = {"lastSuccessTime": "2026-06-01T02:05:00Z", "lastVerifiedTime": "2026-06-01T02:06:00Z"}
    status = policystatus.facts(before, runs({"nightly-backup-1": done(ending(test={}))}))
    assert status == {"lastVerifiedTime": "2026-06-01T02:06:00Z", "failures": {}, "countedFailures": []}


def test_what_lies_in_the_storage_is_told_by_the_newest_job():
    store = StoreFacts(backups=3, verified=2, size=9, oldest=STARTED, removed=("nightly-backup-0",))
    found = runs({"nightly-backup-0": done(ending()), "nightly-backup-1": done(ending())}, store)
    shown = {"backups": 3, "verified": 2, "size": 9, "oldest": "2026-05-01T02:00:00Z"}
    assert policystatus.facts({}, found)["store"] == shown
    assert policystatus.pruned(found, {}, 30, NOW) == {"nightly-backup-0"}


def test_backups_go_as_resources_when_their_files_are_gone_and_not_before():
    good, bad = done(ending(test={})), done(Ending(False, "OutOfMemory", "Killed."))
    found, later = runs({"good": good, "bad": bad}), NOW.replace(month=7)
    counted = {"countedFailures": ["uid-bad"]}
    before, after = ({"store": {"oldest": f"2026-0{month}-01T02:00:00Z"}} | counted for month in (5, 6))
    assert policystatus.pruned(found, before, 30, NOW) == frozenset()
    assert policystatus.pruned(found, before, 30, later) == {"bad"}
    assert policystatus.pruned(found, after, 30, later) == {"bad", "good"}
    assert policystatus.pruned(found, counted, 30, later) == {"bad"}
    assert policystatus.pruned(found, {}, 30, later) == frozenset(), "it has to be counted first"


def test_a_status_is_json():
    assert json.loads(json.dumps(done(ending(test={}))))["sha256"] == "ab"
