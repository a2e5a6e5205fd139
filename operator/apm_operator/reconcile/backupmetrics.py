"""Metrics of backups: read off the statuses each time, so that they are right after a restart of the operator too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from apm_operator import metrics
from apm_operator.errors import InvalidSpec
from apm_operator.kinds import BACKUP_POLICIES, BACKUPS, RESTORES
from apm_operator.reconcile.backupplan import policy_spec
from apm_operator.reconcile.schedule import Schedule, overdue

if TYPE_CHECKING:
    from apm_operator.api.backuppolicy import BackupPolicySpec
    from apm_operator.queue import Key
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.entry import Entry

_TIMES = {
    "lastSuccessTime": metrics.BACKUP_LAST_SUCCESS,
    "lastVerifiedTime": metrics.BACKUP_LAST_VERIFIED,
    "nextScheduleTime": metrics.BACKUP_NEXT,
}
_NUMBERS = {
    "size": metrics.BACKUP_SIZE,
    "documents": metrics.BACKUP_DOCUMENTS,
    "duration": metrics.BACKUP_DURATION,
}


def export(cache: Cache, now: datetime) -> None:
    """Write what the statuses say to the metrics."""
    for each in metrics.OF_BACKUPS:
        each.clear()
    for key in cache:
        entry = cache.get(key)
        if entry is None or entry.agent is None:
            continue
        if key.kind == BACKUP_POLICIES.kind:
            _policy(key, entry, entry.agent.status, now)
        elif key.kind == BACKUPS.kind and (expires := entry.agent.status.get("expires")):
            metrics.BACKUP_EXPIRES.labels(key.namespace, key.name).set(_seconds(expires))
        elif key.kind == RESTORES.kind and (finished := entry.agent.status.get("finished")):
            at = key.namespace, key.name, str(entry.agent.status.get("phase"))
            metrics.RESTORE_FINISHED.labels(*at).set(_seconds(finished))


def _policy(key: Key, entry: Entry, status: Mapping[str, Any], now: datetime) -> None:
    at = (key.namespace, key.name)
    for name, gauge in _TIMES.items():
        if status.get(name):
            gauge.labels(*at).set(_seconds(status[name]))
    for name, gauge in _NUMBERS.items():
        if status.get(name) is not None:
            gauge.labels(*at).set(float(status[name]))
    metrics.BACKUP_MISSED.set(at, float((status.get("missed") or {}).get("count") or 0))
    for reason, number in (status.get("failures") or {}).items():
        metrics.BACKUP_FAILURES.set((*at, reason), float(number))
    store = status.get("store") or {}
    if "backups" in store:
        metrics.BACKUP_STORED.labels(*at, "all").set(float(store["backups"]))
        metrics.BACKUP_STORED.labels(*at, "verified").set(float(store.get("verified") or 0))
    try:
        spec = policy_spec(entry)
        if spec is not None and not spec.suspend and entry.agent is not None:
            created = entry.agent.created
            if (late := _overdue(spec, status, created, now)) is not None:
                metrics.BACKUP_OVERDUE.labels(*at).set(late)
            metrics.BACKUP_UNPROVEN.labels(*at).set(_unproven(spec, status, now))
    except InvalidSpec:
        pass  # nothing is promised by it; the condition Ready says so


def _overdue(spec: BackupPolicySpec, status: Mapping[str, Any], created: str, now: datetime) -> float | None:
    """Seconds for which a backup has been due by the policy's own schedule; None where none is promised.

    Raises:
        InvalidSpec: the schedule says no times.
    """
    since = status.get("lastSuccessTime") or created
    schedule = Schedule.parse(spec.schedule, spec.time_zone)
    return overdue(schedule, datetime.fromisoformat(since), now) if since else None


def _unproven(spec: BackupPolicySpec, status: Mapping[str, Any], now: datetime) -> float:
    """Seconds for which there has been a backup that should be proven by now.

    Raises:
        InvalidSpec: the schedule of the proofs says no times.
    """
    made, proven = status.get("lastSuccessTime"), status.get("lastVerifiedTime")
    if not made or (proven and proven >= made):
        return 0.0
    if spec.verification.schedule is None:
        return max(0.0, now.timestamp() - _seconds(made))
    schedule = Schedule.parse(spec.verification.schedule, spec.time_zone)
    return overdue(schedule, datetime.fromisoformat(proven or made), now)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
