from collections.abc import Callable
from dataclasses import replace

import pytest

from apm_operator.anomalies.agent import AgentDetector
from apm_operator.anomalies.counts import SPAN, Counts
from apm_operator.anomalies.detector import Detector, Finding
from apm_operator.anomalies.scale import Tokens
from unit.apm_operator.anomalies.series import DAY, MONDAY, WEEK, steady, taught, told


def times(factor: float, begin: float = 0.0, end: float = float("inf")):
    def change(time: float, counts: Counts) -> Counts:
        return replace(counts, tokens=counts.tokens * (factor if begin <= time < end else 1.0))

    return change


def test_it_is_silent_while_nothing_changes():
    detector, now = taught()
    assert told(detector, steady(14, now), times(1.0)) == []


@pytest.mark.parametrize("days", [3, 10])
def test_it_is_silent_while_it_has_seen_too_little(days):
    detector, now = taught(days)
    assert told(detector, steady(1, now), times(8.0)) == []
    assert not detector.settled


def test_it_says_by_how_much_against_what():
    detector, now = taught()
    begin = now + 10 * 3600
    (found,) = told(detector, steady(1, now), times(4.1, begin, begin + 3600))
    assert found.series == "tokens_per_run"
    assert found.since == begin
    assert found.text.startswith("tokens per run 4.")
    assert "times the usual for Monday 10:00 UTC (8," in found.text
    assert detector.finding is None


def test_one_look_that_went_wrong_is_not_told():
    detector, now = taught()
    for second in range(0, 600, 60):
        tokens = 40_000.0 if second == 120 else 2000.0
        detector.observe(now + second, Counts(60, 0, 120, 60 * tokens))
        assert detector.finding is None


def test_what_lasts_is_told_after_two_minutes():
    detector, now = taught()
    seen = []
    for second in range(0, 300, 60):
        detector.observe(now + second, Counts(60, 0, 120, 60 * 9000))
        seen.append(detector.finding is not None)
    assert seen == [False, False, True, True, True]


def test_what_goes_back_and_forth_is_told_once():
    detector, now = taught()
    found = told(detector, steady(0.5, now), lambda time, counts: times(5.0 if time // SPAN % 2 else 1.5)(time, counts))
    assert len(found) <= 1
    found = told(
        detector, steady(0.5, now + DAY / 2), lambda time, counts: times(6.0 if time // SPAN % 3 else 2.5)(time, counts)
    )
    assert len(found) == 1


def test_a_new_level_is_told_once_and_then_usual():
    detector, now = taught()
    assert len(told(detector, steady(14, now), times(3.0))) == 1
    assert detector.finding is None
    assert told(detector, steady(1, now + 14 * DAY), times(3.0)) == []


def test_a_slow_drift_is_told():
    detector, now = taught(scatter=0.4)

    def growing(time: float, counts: Counts) -> Counts:
        return replace(counts, tokens=counts.tokens * 1.08 ** ((time - now) / DAY))

    found = told(detector, steady(10, now, scatter=0.4), growing)
    assert found
    assert found[0].drift
    assert "over the last day" in found[0].text


def few_runs(change: Callable[[float, float], float]) -> list[Finding]:
    """What is told of a day of an agent with a few runs, so that a value is far off at five times the usual only."""
    detector, now = taught(runs=2, scatter=0.4)
    series = steady(1, now, runs=2, scatter=0.4)
    return told(detector, series, lambda time, counts: times(change(time - now, time % DAY // SPAN))(time, counts))


def test_what_is_off_for_hours_is_told_though_no_value_is_far_off():
    (found,) = few_runs(lambda since, _: 2.7 if 6 * 3600 <= since < 12 * 3600 else 1.0)
    assert not found.drift
    assert found.text.startswith("tokens per run ")


def test_what_is_off_now_and_then_does_not_add_up():
    assert few_runs(lambda _, slot: 2.7 if slot % 3 == 0 else 1.0) == []


def test_what_is_off_up_and_down_does_not_add_up():
    assert few_runs(lambda _, slot: 2.0 if slot % 2 else 0.5) == []


def test_what_is_off_for_an_hour_is_not_told():
    assert few_runs(lambda since, _: 2.7 if 6 * 3600 <= since < 7 * 3600 else 1.0) == []


def test_one_value_that_is_very_far_off_does_not_make_the_next_ones_tell():
    assert few_runs(lambda _, slot: 500.0 if slot == 24 else 2.7 if slot in {25, 26, 27} else 1.0) == []


def test_when_it_is_over_it_takes_as_long_again_to_be_told():
    found = few_runs(lambda since, _: 2.7 if 4 * 3600 <= since < 9 * 3600 or 10 * 3600 <= since < 11 * 3600 else 1.0)
    assert len(found) == 1


def test_what_was_off_does_not_add_up_with_what_is_off_after_days_without_values():
    detector, now = taught(runs=2, scatter=0.4)
    morning, monday = now + 6 * 3600, now + 3 * DAY + 6 * 3600
    off = [(morning, morning + 3600), (monday, monday + 1800)]
    found = list[Finding]()
    for time, counts in steady(4, now, runs=2, scatter=0.4):
        begin, end = off[time >= monday]
        seen = not morning + 3600 <= time < monday
        detector.observe(time, times(2.7, begin, end)(time, counts) if seen else None)
        found += [] if detector.finding is None else [detector.finding]
    assert found == []


def test_few_runs_say_nothing():
    detector, now = taught()
    for second in range(0, 900, 60):
        detector.observe(now + second, Counts(2, 0, 4, 2 * 90_000))
    assert detector.finding is None


def test_it_is_over_where_nothing_runs_any_more():
    detector, now = taught()
    assert told(detector, steady(0.1, now), times(6.0))
    for number in range(60):
        detector.observe(now + DAY / 8 + number * SPAN, Counts())
    assert detector.finding is None


def test_a_week_that_was_odd_is_not_usual():
    detector, now = taught(21)
    for time, counts in steady(7, now):
        detector.observe(time, times(1.2)(time, counts))
    assert told(detector, steady(7, now + WEEK), times(1.0)) == []


def test_all_series_of_an_agent_are_watched():
    agent = AgentDetector()
    for time, counts in steady(28):
        agent.observe(time, counts)
    assert agent.settled
    assert agent.findings == ()
    now = MONDAY + 28 * DAY
    for second in range(0, 300, 60):
        agent.observe(now + second, Counts(600, 300, 6000, 600 * 12_000))
    assert {found.series for found in agent.findings} == {"error_rate", "latency", "tokens_per_run", "run_rate"}
    texts = {found.series: found.text for found in agent.findings}
    assert texts["error_rate"] == "error rate 50.0 % against the usual 0.0 % for Monday 00:00 UTC"
    assert texts["latency"] == "time per run 5.0 times the usual for Monday 00:00 UTC (10 s against 2 s)"
    assert "runs 6.4 times the usual" in texts["run_rate"]


def test_it_learns_the_same_from_what_is_told_again():
    once, again = Detector(Tokens()), Detector(Tokens())
    for time, counts in steady(21):
        once.observe(time, counts)
        again.observe(time, counts)
        again.observe(time + 60, counts)
    now = MONDAY + 21 * DAY
    assert told(once, steady(1, now), times(4.0))[0].text == told(again, steady(1, now), times(4.0))[0].text
