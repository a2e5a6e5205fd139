"""How Jobs of backups end, with and without a report."""

import dataclasses
import json
from typing import Any

import pytest

from apm_operator.reconcile.ending import ending, started, trouble
from apm_operator.reconcile.runs import JobFacts, RunPod

JOB = JobFacts(uid="j", version="1", command="backup", owner="c", slot=0.0)
DONE = dataclasses.replace(JOB, result="Complete")
BROKEN = dataclasses.replace(JOB, result="Failed", reason="BackoffLimitExceeded", message="Job has reached the limit")
GOOD = {"result": "Succeeded", "reason": "Completed", "message": "Stored and verified."}
LATE = dataclasses.replace(BROKEN, reason="DeadlineExceeded")
STOPPED = {"result": "Failed", "reason": "Stopped", "message": "The pod is to end."}
BAD = {"result": "Failed", "reason": "StorageFull", "message": "No space is left: mongodb://u:geheim@db/ was read."}


def pod(report: dict[str, Any] | str = "", **facts: Any) -> RunPod:
    text = report if isinstance(report, str) else json.dumps(report)
    ended = facts.pop("ended", "Completed" if text else "")
    return RunPod(
        uid="x", version="1", job="one", owner=facts.pop("owner", "j"), created="1", report=text, ended=ended, **facts
    )


def test_a_job_that_goes_on_has_no_ending():
    assert ending(JOB, [pod(GOOD)]) is None


def test_a_report_says_how_it_ended():
    found = ending(DONE, [pod(GOOD)])
    assert found is not None
    assert found.succeeded
    assert found.report is not None
    failed = ending(BROKEN, [pod(BAD)])
    assert failed is not None
    assert (failed.succeeded, failed.reason) == (False, "StorageFull")
    assert "geheim" not in failed.message


def test_the_report_of_the_last_try_counts():
    first = dataclasses.replace(pod(BAD), created="2026-01-01T02:00:00Z")
    second = dataclasses.replace(pod(GOOD), created="2026-01-01T02:01:00Z")
    found = ending(DONE, [second, first])
    assert found is not None
    assert found.succeeded


def test_a_report_outlives_the_job():
    found = ending(None, [pod(GOOD)])
    assert found is not None
    assert found.succeeded


@pytest.mark.parametrize(
    ("job", "pods", "reason"),
    [
        (None, [], "JobGone"),
        (None, [pod()], "JobGone"),
        (DONE, [], "ReportMissing"),
        (DONE, [pod("no report at all")], "ReportMissing"),
        (DONE, [pod(GOOD, owner="another")], "ReportMissing"),
        (BROKEN, [], "PodLost"),
        (BROKEN, [pod(GOOD)], "Crashed"),
        (BROKEN, [pod(ended="OOMKilled", exit_code=137)], "OutOfMemory"),
        (BROKEN, [pod(reason="Evicted", message="low on disk")], "Evicted"),
        (BROKEN, [pod(reason="NodeLost", message="gone")], "PodLost"),
        (BROKEN, [pod("Traceback", ended="Error", exit_code=1)], "Crashed"),
        (BROKEN, [pod(waiting="ImagePullBackOff")], "ImagePullFailed"),
        (LATE, [], "DeadlineExceeded"),
        (LATE, [pod(STOPPED)], "DeadlineExceeded"),
        # Another try came to its end, and only what this one told is lost.
        (DONE, [pod(BAD)], "ReportMissing"),
    ],
)
def test_without_a_report_it_has_failed(job, pods, reason):
    found = ending(job, pods)
    assert found is not None
    assert (found.succeeded, found.reason, found.report) == (False, reason, None)


def test_what_keeps_a_job_from_starting_is_told():
    assert trouble(JOB, [pod()]) is None
    assert not started(JOB, [pod()])
    assert started(JOB, [pod(phase="Running")])
    for facts, reason in (
        ({"waiting": "ErrImagePull"}, "ImagePullFailed"),
        ({"waiting": "CreateContainerConfigError"}, "PodNotStarted"),
        ({"unschedulable": "0/3 nodes"}, "PodsUnschedulable"),
    ):
        found = trouble(JOB, [pod(**facts)])
        assert found is not None
        assert found[0] == reason
