"""What the status of a Backup says, from what its Job has reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from apm_operator import conditions as c
from apm_operator import times
from apm_operator.conditions import Aspect, Verdict, conditions

if TYPE_CHECKING:
    from apm_operator.backup.report import Progress, TestFacts
    from apm_operator.reconcile.ending import Ending
    from apm_operator.reconcile.runs import JobFacts

TERMINAL = frozenset({"Completed", "Failed"})
_PHASES = {"Waiting": "Waiting", "Verifying": "Verifying", "Testing": "Testing"}

Status = dict[str, Any]


def phase(status: Mapping[str, Any]) -> str:
    """The phase that was told last."""
    return str(status.get("phase") or "Pending")


def waiting(before: Mapping[str, Any], reason: str, message: str, *, generation: int, now: datetime) -> Status:
    """Its Job can't be made yet, or does not start yet."""
    told = _conditions(before, Verdict.problem(reason, message), (), generation, now)
    return {**before, "phase": phase(before), "conditions": told, "observedGeneration": generation}


def running(
    before: Mapping[str, Any],
    job: JobFacts,
    progress: Progress | None,
    *,
    started: bool,
    generation: int,
    now: datetime,
) -> Status:
    """Its Job goes on; `started` says whether its program runs."""
    told = _PHASES.get(progress.phase, "Running") if progress is not None else "Running" if started else "Pending"
    verdict = Verdict.moving(c.RUNNING if started else c.PENDING, "The Job is at work." if started else _NOT_STARTED)
    status: Status = {
        **before,
        "phase": told,
        "name": before.get("name") or "",
        "started": before.get("started") or job.started,
        "progress": None if progress is None else _progress(progress),
        "conditions": _conditions(before, verdict, (), generation, now),
        "observedGeneration": generation,
    }
    return _clean(status)


_NOT_STARTED = "The Job has been made; its pod starts."


def ended(
    before: Mapping[str, Any],
    end: Ending,
    job: JobFacts | None,
    *,
    tested: bool,
    days: int,
    generation: int,
    now: datetime,
) -> Status:
    """Its Job has ended.

    Args:
        before: the status so far.
        end: how it ended.
        job: the Job, where it is still there.
        tested: whether only a restore test verifies a backup of this policy.
        days: how long it is kept.
        generation: the Backup's.
        now: the present time.
    """
    report = end.report
    facts = report.backup if report is not None else None
    test = _newest(report.tests, facts.name) if report is not None and facts is not None else None
    finished = times.written(now) if job is None or not job.finished else job.finished
    status: Status = {
        **before,
        "phase": "Completed" if end.succeeded else "Failed",
        "started": before.get("started") or (job.started if job is not None else ""),
        "finished": finished,
        "progress": None,
        "observedGeneration": generation,
    }
    if facts is not None:
        status |= {
            "name": facts.name,
            "started": times.written(facts.started),
            "finished": times.written(facts.finished),
            "size": facts.size,
            "documents": facts.documents,
            "collections": facts.collections,
            "sha256": facts.sha256,
        }
        if end.succeeded:
            status["expires"] = times.written(facts.started + timedelta(days=days))
    verified = _verified(test, succeeded=end.succeeded, tested=tested)
    status |= {"verified": verified, "verifiedTime": _when(verified, test, finished)}
    aspects = (_verdict_of(verified, test, end),)
    done = Verdict("True", c.COMPLETED, end.message) if end.succeeded else Verdict.stalled(end.reason, end.message)
    status["conditions"] = _conditions(before, done, aspects, generation, now)
    return _clean(status)


def retested(before: Mapping[str, Any], test: TestFacts, *, generation: int, now: datetime) -> Status:
    """A later verification of a backup that was completed; what is older than the last one says nothing new."""
    at = times.written(test.at)
    if at <= str(before.get("verifiedTime") or ""):
        return dict(before)
    truth: c.Truth = "True" if test.good else "False"
    if test.good and not test.restored and before.get("verified") == "True":
        return dict(before)
    aspect = Aspect(c.VERIFIED, truth, c.VERIFIED if test.good else test.reason or c.NOT_VERIFIED, _of_test(test))
    old = before.get("conditions") or ()
    kept = [dict(each) for each in old if each["type"] != c.VERIFIED]
    made = conditions(
        Verdict("True", c.COMPLETED, ""), (aspect,), generation=generation, now=times.written(now), before=old
    )
    return {
        **before,
        "verified": truth,
        "verifiedTime": at,
        "conditions": kept + [each for each in made if each["type"] == c.VERIFIED],
    }


def _newest(tests: Iterable[TestFacts], name: str) -> TestFacts | None:
    return max((test for test in tests if test.name == name), key=lambda test: test.at, default=None)


def _verified(test: TestFacts | None, *, succeeded: bool, tested: bool) -> c.Truth:
    if test is not None and not test.good:
        return "False"
    if test is not None and (test.restored or not tested):
        return "True"
    if succeeded and not tested:
        return "True"  # the Job has read back what it stored before it called it a success
    return "Unknown" if succeeded else "False"


def _when(verified: c.Truth, test: TestFacts | None, finished: str) -> str | None:
    if verified == "Unknown":
        return None
    return times.written(test.at) if test is not None else finished


def _verdict_of(verified: c.Truth, test: TestFacts | None, end: Ending) -> Aspect:
    if test is not None:
        reason = c.VERIFIED if verified == "True" else test.reason or c.NOT_VERIFIED
        return Aspect(c.VERIFIED, verified, reason, _of_test(test))
    if verified == "True":
        return Aspect(c.VERIFIED, "True", c.VERIFIED, "What was stored has been read back to its end.")
    if verified == "Unknown":
        return Aspect(c.VERIFIED, "Unknown", c.NOT_YET, "Stored and read back; a restore has not been tested yet.")
    return Aspect(c.VERIFIED, "False", end.reason, end.message)


def _of_test(test: TestFacts) -> str:
    if not test.good:
        return test.message or "The verification failed."
    if test.restored:
        return f"Restored into scratch databases and compared: {test.documents} documents in {test.seconds:.0f} s."
    return "What is stored has been read back to its end."


def _progress(progress: Progress) -> dict[str, Any]:
    told = {"documents": progress.documents, "bytes": progress.bytes, "percent": progress.percent}
    return {name: value for name, value in told.items() if value is not None}


def _conditions(
    before: Mapping[str, Any], verdict: Verdict, aspects: Iterable[Aspect], generation: int, now: datetime
) -> list[dict[str, Any]]:
    old = before.get("conditions") or ()
    return conditions(verdict, aspects, generation=generation, now=times.written(now), before=old)


def _clean(status: Status) -> Status:
    return {name: value for name, value in status.items() if value not in ("", None)}
