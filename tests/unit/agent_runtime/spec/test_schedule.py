from __future__ import annotations

from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter, ValidationError

from agent_runtime.spec.schedule import CronText, Schedule, TimeZone

BERLIN = "Europe/Berlin"
LORD_HOWE = "Australia/Lord_Howe"  # puts its clocks forward by half an hour
APIA = "Pacific/Apia"  # had no 30 December 2011
NEW_YORK = "America/New_York"

TICKS = [
    # In UTC nothing is skipped or doubled.
    ("0 2 * * *", None, "2026-03-28T03:00Z", ["2026-03-29T02:00Z", "2026-03-30T02:00Z"]),
    ("0 2 * * *", BERLIN, "2026-06-01T12:00Z", ["2026-06-02T00:00Z", "2026-06-03T00:00Z"]),
    ("0 8 * * MON-FRI", BERLIN, "2026-11-20T08:00Z", ["2026-11-23T07:00Z", "2026-11-24T07:00Z"]),
    ("0 0 29 2 *", None, "2026-01-01T00:00Z", ["2028-02-29T00:00Z"]),
    # 2:00 to 3:00 is skipped on 29 March: once, when the clock goes on.
    ("0 2 * * *", BERLIN, "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:00Z"]),
    ("30 2 * * *", BERLIN, "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]),
    ("*/15 2 * * *", BERLIN, "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:00Z", "2026-03-30T00:15Z"]),
    ("0 2,3 * * *", BERLIN, "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:00Z"]),
    ("0 */2 * * *", BERLIN, "2026-03-28T23:30Z", ["2026-03-29T01:00Z", "2026-03-29T02:00Z", "2026-03-29T04:00Z"]),
    ("30 2 * * *", NEW_YORK, "2026-03-07T12:00Z", ["2026-03-08T07:00Z", "2026-03-09T06:30Z"]),
    ("15 2 * * *", LORD_HOWE, "2026-10-03T12:00Z", ["2026-10-03T15:30Z", "2026-10-04T15:15Z"]),
    ("0 9 30 * *", APIA, "2011-12-29T12:00Z", ["2011-12-30T10:00Z", "2012-01-29T19:00Z"]),
    # 2:00 to 3:00 is there twice on 25 October: the first time counts.
    ("0 2 * * *", BERLIN, "2026-10-24T12:00Z", ["2026-10-25T00:00Z", "2026-10-26T01:00Z"]),
    ("30 2 * * *", BERLIN, "2026-10-24T12:00Z", ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]),
    ("*/30 2 * * *", BERLIN, "2026-10-24T12:00Z", ["2026-10-25T00:00Z", "2026-10-25T00:30Z", "2026-10-26T01:00Z"]),
    ("30 1 * * *", NEW_YORK, "2026-10-31T12:00Z", ["2026-11-01T05:30Z", "2026-11-02T06:30Z"]),
    # Asked within the second time, and within the first.
    ("30 2 * * *", BERLIN, "2026-10-25T01:10Z", ["2026-10-26T01:30Z"]),
    ("30 2 * * *", BERLIN, "2026-10-25T00:10Z", ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]),
    # Every hour means every hour that passes.
    ("0 * * * *", BERLIN, "2026-03-29T00:00Z", ["2026-03-29T01:00Z", "2026-03-29T02:00Z"]),
    ("30 * * * *", BERLIN, "2026-10-24T23:45Z", ["2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T02:30Z"]),
    ("*/20 * * * *", BERLIN, "2026-10-25T00:30Z", ["2026-10-25T00:40Z", "2026-10-25T01:00Z", "2026-10-25T01:20Z"]),
    ("* * * * *", BERLIN, "2026-10-25T00:59Z", ["2026-10-25T01:00Z", "2026-10-25T01:01Z"]),
    ("0 12 ? * 0", None, "2026-11-21T13:00Z", ["2026-11-22T12:00Z"]),
]


@pytest.mark.parametrize(("text", "zone", "after", "expected"), TICKS)
def test_ticks(text, zone, after, expected):
    found = islice(Schedule.of(text, zone).after(datetime.fromisoformat(after)), len(expected))
    assert [f"{tick:%Y-%m-%dT%H:%MZ}" for tick in found] == expected


@pytest.mark.parametrize("zone", [BERLIN, LORD_HOWE, NEW_YORK, "America/Sao_Paulo", "Asia/Kathmandu", "Africa/Cairo"])
@pytest.mark.parametrize("text", ["30 2 * * *", "0 0 * * *", "15 1,2,3 * * *"])
def test_each_wall_time_is_there_once_a_day(text, zone):
    ticks = list(islice(Schedule.of(text, zone).after(datetime.fromisoformat("2026-01-01T00:00Z")), 1000))
    assert ticks == sorted(set(ticks))
    if "," not in text:
        days = [tick.astimezone(ZoneInfo(zone)).date() for tick in ticks]
        assert len(days) == len(set(days))
        assert (days[-1] - days[0]).days == len(days) - 1


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "* * * * * *", "@daily", "61 * * * *", "0 0 30 2 *", "0 0 L * *", "0 2 * * FOO"],
)
def test_refuses_what_is_no_schedule(text):
    with pytest.raises(ValidationError):
        TypeAdapter(CronText).validate_python(text)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "CEST+99"])
def test_refuses_what_is_no_time_zone(name):
    with pytest.raises(ValidationError):
        TypeAdapter(TimeZone).validate_python(name)


def test_a_schedule_without_any_day_is_refused_soon():
    with pytest.raises(ValidationError, match="31 2,4,6,9,11"):
        TypeAdapter(CronText).validate_python("0 0 31 2,4,6,9,11 *")
