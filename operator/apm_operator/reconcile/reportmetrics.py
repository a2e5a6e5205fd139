"""What Prometheus is told of reports: read off their statuses, so that it goes on after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apm_operator import metrics
from apm_operator.api.agentreport import AgentReportSpec
from apm_operator.errors import InvalidSpec
from apm_operator.kinds import AGENT_REPORTS
from apm_operator.reconcile.backupplan import parse
from apm_operator.reconcile.promise import due_since
from apm_operator.reconcile.schedule import Schedule, overdue

if TYPE_CHECKING:
    from datetime import datetime

    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.records import AgentRecord


def export(cache: Cache, now: datetime) -> None:
    """Write for how long each report has been due."""
    metrics.REPORT_OVERDUE.clear()
    for key in cache:
        entry = cache.get(key)
        if key.kind != AGENT_REPORTS.kind or entry is None or entry.agent is None:
            continue
        try:
            late = _overdue(entry.agent, now)
        except InvalidSpec:
            continue  # nothing is promised by it; the condition Ready says so
        if late is not None:
            metrics.REPORT_OVERDUE.labels(key.namespace, key.name).set(late)


def _overdue(record: AgentRecord, now: datetime) -> float | None:
    """Seconds; None where no report is promised.

    Raises:
        InvalidSpec: the spec can't be read.
    """
    spec = parse(AgentReportSpec, record.body)
    schedule = Schedule.parse(spec.schedule, spec.time_zone)
    since = None if spec.suspend else due_since(schedule, record)
    return None if since is None else overdue(schedule, since, now)
