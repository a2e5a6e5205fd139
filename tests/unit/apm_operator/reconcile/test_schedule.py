"""Slots of a schedule, over both changes of the clock."""

from datetime import UTC, datetime, timedelta

import pytest

from apm_operator.errors import InvalidSpec
from apm_operator.reconcile.schedule import Schedule, overdue, run_name, slot_of

BERLIN = Schedule.parse("0 2 * * *", "Europe/Berlin")
HOUR = 3600.0


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


def slots(schedule: Schedule, after: datetime, count: int) -> list[str]:
    found = []
    for _ in range(count):
        after = schedule.next(after)
        found.append(after.strftime("%m-%d %H:%M"))
    return found


def test_two_at_night_is_another_hour_of_utc_in_summer():
    assert slots(BERLIN, at("2026-01-14T12:00"), 1) == ["01-15 01:00"]
    assert slots(BERLIN, at("2026-07-14T12:00"), 1) == ["07-15 00:00"]


def test_the_night_without_two_has_its_backup_at_three():
    assert slots(BERLIN, at("2026-03-27T12:00"), 3) == ["03-28 01:00", "03-29 01:00", "03-30 00:00"]


def test_the_night_with_two_twice_has_one_slot():
    assert slots(BERLIN, at("2026-10-23T12:00"), 3) == ["10-24 00:00", "10-25 00:00", "10-26 01:00"]
    between = at("2026-10-25T00:30")
    assert slots(BERLIN, between, 1) == ["10-26 01:00"]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Etc/UTC"])
@pytest.mark.parametrize("expression", ["0 2 * * *", "30 2 * * *", "*/20 * * * *", "15,45 1-3 * * *", "0 */6 * * *"])
def test_slots_always_go_on(zone, expression):
    schedule = Schedule.parse(expression, zone)
    longest = timedelta(hours=26)
    for day in ("2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31"):
        after = at(f"{day}T00:00")
        end = after + timedelta(days=3)
        while after < end:
            following = schedule.next(after)
            assert after < following <= after + longest
            assert schedule.fits(following)
            after = following


def missed(due: str, now: str, made: list[str]) -> tuple[int, datetime | None]:
    found = BERLIN.review(at(due), at(now), [at(each) for each in made], HOUR)
    assert found.next > at(now) - timedelta(seconds=HOUR + 60)
    return found.missed, found.newest_missed


def test_kubernetes_makes_nothing_in_the_night_without_two_and_that_is_seen_once():
    made = ["2026-03-28T01:00"]
    assert missed("2026-03-28T01:00", "2026-03-29T01:30", made) == (0, None)
    assert missed("2026-03-28T01:00", "2026-03-29T02:02", made) == (1, at("2026-03-29T01:00"))
    assert missed("2026-03-30T00:00", "2026-03-29T23:00", made) == (0, None)


def test_the_run_that_kubernetes_makes_twice_in_autumn_is_no_missed_one():
    made = ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-26T01:00"]
    assert missed("2026-10-25T00:00", "2026-10-26T23:00", made) == (0, None)


def test_of_many_missed_slots_the_newest_is_caught_up():
    found = missed("2026-05-01T00:00", "2026-05-05T12:00", ["2026-05-02T00:00"])
    assert found == (4, at("2026-05-05T00:00"))


def test_a_start_within_the_deadline_may_still_come():
    due = "2026-05-01T00:00"
    assert missed(due, "2026-05-01T00:59", []) == (0, None)
    assert missed(due, "2026-05-01T02:00", []) == (1, at(due))


def test_what_is_promised_next_is_the_first_slot_without_a_run():
    due = at("2026-05-01T00:00")
    waiting = BERLIN.review(due, at("2026-05-01T00:30"), [], HOUR)
    assert (waiting.next, waiting.last) == (due, None)
    made = BERLIN.review(due, at("2026-05-01T00:30"), [due], HOUR)
    assert (made.next, made.last) == (at("2026-05-02T00:00"), due)


def test_years_of_minutes_are_not_counted_one_by_one():
    now = at("2026-01-01T00:00")
    found = Schedule.parse("* * * * *", "Etc/UTC").review(at("2020-01-01T00:00"), now, [], 0.0)
    assert found.missed == 10_000
    assert found.next == at("2026-01-01T00:00")


def test_overdue_is_measured_by_the_schedule_itself():
    assert overdue(BERLIN, at("2026-05-01T00:05"), at("2026-05-01T12:00")) == 0.0
    assert overdue(BERLIN, at("2026-05-01T00:05"), at("2026-05-02T01:00")) == HOUR


def test_the_name_of_a_run_is_that_of_kubernetes():
    assert run_name("nightly-backup", datetime(2026, 1, 1, 2, 0, tzinfo=UTC)) == "nightly-backup-29453880"


def test_a_name_gives_its_slot_back():
    slot = at("2026-01-01T02:00")
    assert slot_of("nightly-backup", run_name("nightly-backup", slot)) == slot
    for other in ("nightly-backup", "nightly-29453880", "nightly-backup-by-hand", "nightly-backup-²", "a-1"):
        assert slot_of("nightly-backup", other) is None


@pytest.mark.parametrize("expression", ["0 2 * *", "0 2 * * * *", "61 2 * * *", "0 0 31 2 *", "never", ""])
def test_what_is_no_schedule_is_told(expression):
    with pytest.raises(InvalidSpec, match=r"spec\.schedule"):
        Schedule.parse(expression, "Etc/UTC")


@pytest.mark.parametrize("zone", ["Berlin/Europe", "", "../etc/passwd"])
def test_what_is_no_zone_is_told(zone):
    with pytest.raises(InvalidSpec, match=r"spec\.timeZone"):
        Schedule.parse("@daily", zone)
