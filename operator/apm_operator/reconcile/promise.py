"""What a report's schedule promises, and since when: a change of it promises nothing for the time before."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from apm_operator import times

if TYPE_CHECKING:
    from apm_operator.reconcile.records import AgentRecord
    from apm_operator.reconcile.schedule import Schedule

_SUSPENDED = "suspended"


def noted(schedule: Schedule, record: AgentRecord, now: datetime, *, suspended: bool) -> dict[str, str]:
    """What the status is to say: the schedule, and when it was first seen."""
    promised = _SUSPENDED if suspended else _text(schedule)
    known, before = record.status.get("observedSchedule"), record.status.get("observedScheduleTime")
    if known is None:  # the first look at this report
        before = record.created
    elif known != promised:
        before = None
    return {"observedSchedule": promised, "observedScheduleTime": before or times.written(now)}


def due_since(schedule: Schedule, record: AgentRecord) -> datetime | None:
    """When the time began in which the next slot is the first that counts; None where nobody has seen it yet."""
    told = record.status
    if told.get("observedSchedule") != _text(schedule):
        return None
    found = (told.get("observedScheduleTime"), told.get("lastReportTime"))
    return max((datetime.fromisoformat(each) for each in found if each), default=None)


def _text(schedule: Schedule) -> str:
    return f"{schedule.expression} {schedule.zone.key}"
