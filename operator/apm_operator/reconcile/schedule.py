"""When a policy's backups are due, by its cron expression and time zone.

Where a clock is put forward over a slot, the slot is at the end of the gap, as with cron: every day has its backup.
Kubernetes' CronJob leaves such a day out, so that it becomes a missed run here. Where a clock is put back, a slot
counts once, the first time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from apm_operator.errors import InvalidSpec

_GRACE_SECONDS = 60.0
"""What Kubernetes' controllers may take beyond the starting deadline."""
_MOST_MISSED = 10_000
_FIELDS = 5
_DIGITS = 9
_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True, slots=True)
class Review:
    """What became of the slots so far.

    Attributes:
        next: the first that nothing was made for, and that is not missed yet.
        last: the newest before it; None where there is none.
        missed: how many of those nothing was made for.
        newest_missed: the newest of these; None where there are none.
    """

    next: datetime
    last: datetime | None
    missed: int
    newest_missed: datetime | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron expression of five fields in a time zone of the IANA database."""

    expression: str
    zone: ZoneInfo

    @classmethod
    def parse(cls, expression: str, zone: str) -> Schedule:
        """Read a schedule.

        Raises:
            InvalidSpec: one of them can't be read, or no time ever fits.
        """
        fields = _ALIASES.get(expression.strip().lower(), expression).replace("?", "*")
        try:
            found = cls(fields, ZoneInfo(zone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidSpec(f"spec.timeZone {zone!r} is no time zone: use a name such as Europe/Berlin") from None
        trouble = "it has not five fields" if len(fields.split()) != _FIELDS else ""
        try:
            if not trouble:  # cronsim takes seconds as well
                found.next(datetime.now(UTC))
        except (CronSimError, StopIteration) as error:
            trouble = str(error) or "no time ever fits"
        if trouble:
            told = f"spec.schedule {expression!r} can't be used ({trouble}): write five fields as cron does"
            raise InvalidSpec(f'{told}, such as "0 2 * * *"')
        return found

    def next(self, after: datetime) -> datetime:
        """The first slot after a time, in UTC."""
        for slot in CronSim(self.expression, after.astimezone(self.zone)):
            found = slot.astimezone(UTC)
            if found > after:  # in the hour that comes twice, cronsim's own order is not that of time
                return found
        raise StopIteration

    def fits(self, slot: datetime) -> bool:
        """Whether a time is a slot."""
        return self.next(slot - timedelta(seconds=1)) == slot

    def review(self, due: datetime, now: datetime, runs: Iterable[datetime], deadline: float) -> Review:
        """Look at the slots from `due` on.

        Args:
            due: the slot that was promised.
            now: the present time.
            runs: slots of what was made.
            deadline: seconds after a slot in which Kubernetes may still make the Job.
        """
        latest = now - timedelta(seconds=deadline + _GRACE_SECONDS)
        made = sorted(runs)
        slot, count = due, 0
        last = missed = None
        while True:
            following = self.next(slot)
            if not any(slot <= run < following for run in made):
                if slot > latest or count >= _MOST_MISSED:
                    break
                count, missed = count + 1, slot
            slot, last = following, slot
        if slot <= latest:
            slot = self.next(latest)
        return Review(slot, last, count, missed)


def overdue(schedule: Schedule, since: datetime, now: datetime) -> float:
    """Seconds since a backup was due: the first slot after `since`, which is when the last good one was there."""
    return max(0.0, (now - schedule.next(since)).total_seconds())


def run_name(cron_job: str, slot: datetime) -> str:
    """The name that Kubernetes gives the Job of a slot: ours for it is the same, so that there are never both.

    https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/cronjob/utils.go (getJobName)
    """
    return f"{cron_job}-{int(slot.timestamp()) // 60}"


def slot_of(cron_job: str, name: str) -> datetime | None:
    """The slot that a Job or Backup was made for, by its name; None where it is no such name."""
    start, _, minutes = name.rpartition("-")
    if start != cron_job or not (minutes.isascii() and minutes.isdigit()) or len(minutes) > _DIGITS:
        return None
    return datetime.fromtimestamp(int(minutes) * 60, UTC)
