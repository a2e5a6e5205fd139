"""When something is due: cron expressions of five fields, in time zones of the IANA database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, StringConstraints

CRON_PATTERN = r"^[-0-9*,/?]+( +[-0-9*,/?]+){2}( +([-0-9*,/?]|[A-Za-z]{3})+){2}$"
"""Names of months and days have three letters. Other forms with letters (`L`, `@daily`, `TZ=`) are not for CronJobs."""
TIME_ZONE_PATTERN = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$"
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The ticks of a cron expression in a time zone.

    An hour field of `*` counts the hours as they pass. Any other one goes by the clock on the wall: ticks that the
    clock is put forward over are one tick at the end of the gap, and those that it shows twice are there the first
    time only.
    """

    expression: str
    zone: ZoneInfo

    @classmethod
    def of(cls, expression: str, zone: str | None) -> Schedule:
        """From texts that have been checked; without a zone it is that of UTC."""
        return cls(expression.replace("?", "*"), ZoneInfo(zone or "Etc/UTC"))

    def next(self, after: datetime) -> datetime | None:
        """The first tick after a time, in UTC; None if none comes within 50 years."""
        return next(self.after(after), None)

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The ticks after a time, in UTC and in order."""
        for tick in self._ticks(moment):
            if tick > moment:
                moment = tick
                yield tick

    def _ticks(self, after: datetime) -> Iterator[datetime]:
        """Ticks around a time and after it, in order but for those of the hour that a clock shows twice."""
        local = after.astimezone(self.zone)
        if self.expression.split()[1] == "*":
            for tick in CronSim(self.expression, local):
                yield tick.astimezone(UTC)
            return
        for shown in CronSim(self.expression, local.replace(tzinfo=None, fold=0)):
            yield self._moment(shown)

    def _moment(self, shown: datetime) -> datetime:
        """When a clock on the wall first shows a time, or one behind it."""
        found = shown.replace(tzinfo=self.zone).astimezone(UTC)
        if found.astimezone(self.zone).replace(tzinfo=None) == shown:
            return found
        # Of a time in a gap, fold 1 stands for the offset behind the gap, and so for a moment before it.
        found = shown.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        while found.astimezone(self.zone).replace(tzinfo=None) < shown:
            found += _MINUTE
        return found


def _cron(text: str) -> str:
    try:
        found = Schedule.of(text, None).next(datetime.now(UTC))
    except CronSimError as error:
        raise ValueError(f"{text!r} is no cron expression ({error}): write such as `0 2 * * *`") from None
    if found is None:
        raise ValueError(f"{text!r} fits no day: write such as `0 2 * * *`")
    return text


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(f"{name!r} is no time zone: write such as `Europe/Berlin` or `Etc/UTC`") from None
    return name


CronText = Annotated[str, StringConstraints(pattern=CRON_PATTERN, max_length=128), AfterValidator(_cron)]
"""Minute, hour, day of the month, month and day of the week."""

TimeZone = Annotated[str, StringConstraints(pattern=TIME_ZONE_PATTERN, max_length=64), AfterValidator(_time_zone)]
"""A name of the IANA time zone database."""
