from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.cron_contract import NOON, cron

HOUR = timedelta(hours=1)


def test_waits_for_the_next_tick():
    it = cron().waiting(NOON)
    assert it.next == it.due == NOON + HOUR
    assert cron(enabled=False).waiting(NOON).next is None
    assert cron(end_time=NOON + HOUR).waiting(NOON).next == NOON + HOUR
    assert cron(end_time=NOON + HOUR - timedelta(seconds=1)).waiting(NOON).next is None
    assert cron(schedule="0 9 * * *", timezone="Asia/Tokyo").waiting(NOON).next == NOON + 12 * HOUR


@pytest.mark.parametrize(
    ("fields", "after", "tick", "before"),
    [
        ({}, timedelta(0), NOON, 0),
        ({}, timedelta(minutes=59), NOON, 0),
        ({}, HOUR, NOON + HOUR, 1),
        ({}, 5.5 * HOUR, NOON + 5 * HOUR, 5),
        ({"end_time": NOON + 2.5 * HOUR}, 5.5 * HOUR, NOON + 2 * HOUR, 2),
        # A cron whose pods were away for long: what is older than a week counts as one.
        ({"schedule": "* * * * *"}, 100 * 24 * HOUR, NOON + 100 * 24 * HOUR, 7 * 24 * 60),
        ({"schedule": "0 12 21 11 *"}, 100 * 24 * HOUR, NOON, 0),
    ],
)
def test_the_newest_tick_that_has_come(fields, after, tick, before):
    assert cron(**fields).late(NOON + after) == (tick, before)


def test_a_tick_stands_for_one_run():
    it = cron()
    assert it.run_id(NOON) == it.run_id(NOON)
    assert len({it.run_id(NOON), it.run_id(NOON + HOUR), cron().run_id(NOON)}) == 3
