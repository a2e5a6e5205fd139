from datetime import UTC, datetime

import pytest

from bench.anomalies import water
from bench.anomalies.series import WEEK

HOURS = 3600


def flows(*, without: range = range(0)) -> dict[int, float]:
    hours = range(int(water.BEGIN), int(water.QUIET + 2 * WEEK), HOURS)
    return {when: 100.0 for number, when in enumerate(hours) if number not in without}


def test_it_is_read_with_the_first_weeks_at_the_end(tmp_path):
    (tmp_path / "a.csv").write_text(
        "Time,Water flow [l/s]\n2022-03-20T11:00:00+01:00,100.59\n2022-05-16T22:00:00+02:00,104.1\n"
    )
    (early, first), (late, last) = water.read(tmp_path / "a.csv").items()
    assert (first, last) == (100.59, 104.1)
    assert datetime.fromtimestamp(late, UTC) == datetime(2022, 5, 16, 20, tzinfo=UTC)
    assert datetime.fromtimestamp(early, UTC) == datetime(2022, 5, 22, 10, tzinfo=UTC)  # a Sunday as well


def test_what_is_known_to_be_odd_lies_after_the_weeks_that_are_learned():
    assert all(water.BEGIN + 3 * WEEK <= each.begin < each.end for each in water.ODD)
    assert datetime.fromtimestamp(water.BEGIN, UTC).weekday() == 0


def test_runs_follow_the_flow():
    series = list(water.agents(flows(), "seasonality", 1, 1))
    means = [sum(counts.runs for _, counts in each.steps if counts) / len(each.steps) for each in series]
    assert means == [pytest.approx(size, rel=0.05) for size in water.SIZES]


def test_hours_that_are_missing_are_unknown():
    (first, *_) = water.agents(flows(without=range(2, 4)), "seasonality", 1, 1)
    unknown = [when - water.BEGIN for when, counts in first.steps if counts is None]
    assert (unknown[0], unknown[-1], len(unknown)) == (2 * HOURS + water.STEP, 4 * HOURS, 24)


def test_what_is_put_in_is_there():
    *_, largest = water.agents(flows(), "level shift", 1, 1)
    (odd,) = largest.odd
    runs = {when - water.STEP: counts.runs for when, counts in largest.steps if counts}
    before = [count for when, count in runs.items() if when < odd.begin]
    after = [count for when, count in runs.items() if when >= odd.begin]
    assert sum(after) / len(after) == pytest.approx(odd.factor * sum(before) / len(before), rel=0.02)
    assert largest.judged < odd.begin
