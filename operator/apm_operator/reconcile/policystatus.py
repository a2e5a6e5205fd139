"""What the status of a BackupPolicy says, from its Backups and from what its Jobs have reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from apm_operator import conditions as c
from apm_operator import times
from apm_operator.conditions import Aspect
from apm_operator.reconcile.ending import ending

if TYPE_CHECKING:
    from apm_operator.backup.report import Report, StoreFacts
    from apm_operator.reconcile.runs import JobFacts, RunPod


_MOST_FAILED = 100
"""Failed Backups of a policy that are kept. A policy that runs each minute would make 43,000 of them in a month."""


class ToldBackup(NamedTuple):
    """A Backup as far as its status tells."""

    uid: str
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Runs:
    """What has become of a policy's runs.

    Attributes:
        completed: statuses of the backups that succeeded, by name, oldest first.
        failed: statuses of those that failed, likewise.
        uids: of the Backups, by name.
        reports: of the Jobs that have ended and are still there, oldest first.
    """

    completed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    uids: Mapping[str, str] = field(default_factory=dict)
    reports: tuple[Report, ...] = ()

    @classmethod
    def of(
        cls,
        backups: Mapping[str, ToldBackup],
        jobs: Mapping[str, JobFacts],
        pods: Iterable[RunPod],
    ) -> Runs:
        """Sort the statuses of Backups, and read the reports of Jobs."""
        pods = tuple(pods)
        statuses = ((name, told.status) for name, told in backups.items())
        by_end = sorted(statuses, key=lambda each: str(each[1].get("finished") or ""))
        ended = sorted((job for job in jobs.values() if job.result), key=lambda job: job.finished)
        endings = (ending(job, [pod for pod in pods if pod.owner == job.uid]) for job in ended)
        return cls(
            {name: status for name, status in by_end if status.get("phase") == "Completed"},
            {name: status for name, status in by_end if status.get("phase") == "Failed"},
            {name: told.uid for name, told in backups.items()},
            tuple(end.report for end in endings if end is not None and end.report is not None),
        )

    @property
    def store(self) -> StoreFacts | None:
        """What lay in the storage after the newest Job that looked."""
        return next((report.store for report in reversed(self.reports) if report.store is not None), None)

    @property
    def removed(self) -> frozenset[str]:
        """Backups that the Jobs have removed from the storage."""
        return frozenset(name for report in self.reports if report.store is not None for name in report.store.removed)


def facts(before: Mapping[str, Any], runs: Runs) -> dict[str, Any]:
    """The fields that tell of the runs. What was told of a run stays when its Backup is deleted."""
    status: dict[str, Any] = {}
    if runs.completed:
        name, last = list(runs.completed.items())[-1]
        if str(last.get("finished") or "") >= str(before.get("lastSuccessTime") or ""):
            status |= {
                "lastBackup": name,
                "lastSuccessTime": last.get("finished"),
                "size": last.get("size"),
                "documents": last.get("documents"),
                "duration": _seconds(last),
            }
    verified = [str(before.get("lastVerifiedTime") or "")]
    verified += [str(each.get("verifiedTime") or "") for each in runs.completed.values() if each["verified"] == "True"]
    status["lastVerifiedTime"] = max(verified)
    status |= _failures(before, runs)
    if (store := runs.store) is not None:
        status["store"] = {
            "backups": store.backups,
            "verified": store.verified,
            "size": store.size,
            **({"oldest": times.written(store.oldest)} if store.oldest is not None else {}),
        }
    return {name: value for name, value in status.items() if value not in ("", None)}


def _failures(before: Mapping[str, Any], runs: Runs) -> dict[str, Any]:
    """The failures so far. Each is counted once: one patch writes the numbers and whom they count."""
    counted = frozenset(before.get("countedFailures") or ())
    new = [status for name, status in runs.failed.items() if runs.uids[name] not in counted]
    reasons = Counter(before.get("failures") or {})
    reasons.update(c.reason(each.get("conditions") or ()) or c.FAILED for each in new)
    return {
        "failures": dict(sorted(reasons.items())),
        "countedFailures": sorted(runs.uids[name] for name in runs.failed),
    }


def verified(before: Mapping[str, Any], runs: Runs) -> Aspect:
    """The condition Verified: whether the newest backup is known to restore."""
    newest = max(
        (*runs.completed.values(), *runs.failed.values()),
        key=lambda each: str(each.get("finished") or ""),
        default=None,
    )
    if newest is None:
        told = _condition(before.get("conditions") or (), c.VERIFIED)
        if told is not None and before.get("lastVerifiedTime"):
            return Aspect(c.VERIFIED, told["status"], told["reason"], told["message"])
        return Aspect(c.VERIFIED, "Unknown", c.NOT_YET, "No backup has been made yet.")
    if newest.get("phase") == "Failed":
        reason, message = c.reason(newest["conditions"]), _message(newest)
        return Aspect(c.VERIFIED, "False", c.BACKUP_FAILED, f"The newest backup has failed ({reason}): {message}")
    own = _condition(newest.get("conditions") or (), c.VERIFIED)
    if own is None:
        return Aspect(c.VERIFIED, "Unknown", c.NOT_YET, "The newest backup has not been verified yet.")
    return Aspect(c.VERIFIED, own["status"], own["reason"], own["message"])


def pruned(runs: Runs, before: Mapping[str, Any], days: int, now: datetime) -> frozenset[str]:
    """Backups whose files are gone from the storage, and failed ones that nobody needs to know of any more."""
    gone = {name for name in runs.completed if name in runs.removed}
    oldest = str((before.get("store") or {}).get("oldest") or "")
    for name, status in runs.completed.items():
        expired = str(status.get("expires") or "9") < times.written(now)
        if expired and oldest and str(status.get("started") or "9") < oldest:
            gone.add(name)
    return frozenset(gone | _past(runs, before, days, now))


def _past(runs: Runs, before: Mapping[str, Any], days: int, now: datetime) -> set[str]:
    """Failed ones that are old or too many, and have been counted."""
    counted = frozenset(before.get("countedFailures") or ())
    oldest = times.written(now - timedelta(days=days))
    old = {name for name, status in runs.failed.items() if str(status["finished"]) < oldest}
    surplus = list(runs.failed)[:-_MOST_FAILED]
    return {name for name in old.union(surplus) if runs.uids[name] in counted}


def _condition(conditions: Iterable[Mapping[str, Any]], kind: str) -> Mapping[str, Any] | None:
    return next((each for each in conditions if each["type"] == kind), None)


def _message(status: Mapping[str, Any]) -> str:
    ready = _condition(status.get("conditions") or (), c.READY)
    return str(ready["message"]) if ready is not None else ""


def _seconds(status: Mapping[str, Any]) -> float | None:
    try:
        began, ended = (datetime.fromisoformat(status[name]) for name in ("started", "finished"))
    except (KeyError, ValueError):
        return None
    return (ended - began).total_seconds()
