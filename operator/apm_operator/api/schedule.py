"""When something is due: cron expressions and time zones, as Kubernetes' CronJob takes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, StringConstraints

CRON_PATTERN = r"^[-0-9*,/?]+( +[-0-9*,/?]+){2}( +([-0-9*,/?]|[A-Za-z]{3})+){2}$"
"""Names of months and days have three letters. Other forms with letters (`L`, `@daily`, `TZ=`) are not for CronJobs."""
TIME_ZONE_PATTERN = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$"


def _cron(text: str) -> str:
    try:
        CronSim(text.replace("?", "*"), datetime.now(UTC))
    except CronSimError as error:
        raise ValueError(f"{text!r} is no cron expression ({error}): write such as `0 2 * * *`") from None
    return text


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError):
        raise ValueError(f"{name!r} is no time zone: write such as `Europe/Berlin` or `Etc/UTC`") from None
    return name


CronText = Annotated[str, StringConstraints(pattern=CRON_PATTERN, max_length=128), AfterValidator(_cron)]
"""Minute, hour, day of the month, month and day of the week."""

TimeZone = Annotated[str, StringConstraints(pattern=TIME_ZONE_PATTERN, max_length=64), AfterValidator(_time_zone)]
"""A name of the IANA time zone database."""
