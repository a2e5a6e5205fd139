"""Metrics of backups: read off the statuses each time, so that they are right after a restart of the operator too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from apm_operator import metrics
from apm_operator.errors import InvalidSpec
from apm_operator.kinds import BACKUP_POLICIES, BACKUPS
from apm_operator.reconcile.backupplan import policy_spec
from apm_operator.reconcile.schedule import Schedule, overdue

if TYPE_CHECKING:
    from apm_operator.queue import Key
    from apm_operator.reconcile.cache import Cache, Entry

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


def _policy(key: Key, entry: Entry, status: Mapping[str, Any], now: datetime) -> None:
    at = (key.namespace, key.name)
    for name, gauge in _TIMES.items():
        if status.get(name):
            gauge.labels(*at).set(_seconds(status[name]))
    for name, gauge in _NUMBERS.items():
        if status.get(name) is not None:
            gauge.labels(*at).set(float(status[name]))
    metrics.BACKUP_MISSED.labels(*at).set(float((status.get("missed") or {}).get("count") or 0))
    for reason, number in (status.get("failures") or {}).items():
        metrics.BACKUP_FAILURES.labels(*at, reason).set(float(number))
    store = status.get("store") or {}
    if "backups" in store:
        metrics.BACKUP_STORED.labels(*at, "all").set(float(store["backups"]))
        metrics.BACKUP_STORED.labels(*at, "verified").set(float(store.get("verified") or 0))
    late = _overdue(entry, status, now)
    if late is not None:
        metrics.BACKUP_OVERDUE.labels(*at).set(late)


def _overdue(entry: Entry, status: Mapping[str, Any], now: datetime) -> float | None:
    """Seconds for which a backup has been due by the policy's own schedule; None where none is promised."""
    try:
        spec = policy_spec(entry)
        if spec is None or spec.suspend or entry.agent is None:
            return None
        schedule = Schedule.parse(spec.schedule, spec.time_zone)
    except InvalidSpec:
        return None
    since = status.get("lastSuccessTime") or entry.agent.created
    return overdue(schedule, datetime.fromisoformat(since), now) if since else None


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
