import random
from itertools import pairwise

import pytest

from apm_operator.anomalies.counts import Counts
from bench.anomalies.injected import DAY, SHAPES, Injected, injection
from bench.anomalies.series import NAMES, START, WEEK

COUNTS = Counts(100, 2, 200.0, 5000.0)


def put(series: str, when: float = 150.0, counts: Counts = COUNTS) -> Counts:
    return Injected("level shift", series, 100, 200, 3.0).into(counts, when, 0.02, random.Random(1))  # noqa: S311


@pytest.mark.parametrize("series", NAMES)
@pytest.mark.parametrize("when", [99, 200])
def test_nothing_differs_before_it_and_after_it(series, when):
    assert put(series, when) == COUNTS


def test_each_series_differs_alone():
    assert put("latency") == Counts(100, 2, 600.0, 5000.0)
    assert put("tokens_per_run") == Counts(100, 2, 200.0, 15_000.0)
    assert put("run_rate") == Counts(300, 6, 600.0, 15_000.0)


def test_so_many_more_fail_of_those_that_ended_well():
    many = put("error_rate", counts=Counts(100_000, 2000, 200.0, 5000.0))
    assert many.runs == 100_000
    assert many.failed / many.runs == pytest.approx(0.15, abs=0.005)  # a twentieth of the factor, since 6 % is less


def test_a_drift_grows_up_to_its_factor():
    drift = Injected("slow drift", "latency", 0, 10 * DAY, 4.0)
    factors = [drift.at(day * DAY) for day in range(10)]
    assert factors[0] == 1.0
    assert all(a < b for a, b in pairwise(factors[:6]))
    assert factors[5:] == [pytest.approx(4.0)] * 5


@pytest.mark.parametrize("shape", SHAPES[:-1])
def test_it_lies_in_the_time_given_and_in_the_series_given(shape):
    for seed in range(50):
        found = injection(shape, seed, START, START + WEEK, ("latency", "run_rate"))
        assert found is not None
        assert START <= found.begin < START + DAY
        assert found.begin < found.end <= START + WEEK
        assert found.series in {"latency", "run_rate"}
        assert found.factor > 2


def test_the_rhythm_alone_has_nothing_put_in():
    assert injection("seasonality", 1, START, START + WEEK) is None
