from collections.abc import Sequence

from apm_operator.anomalies.counts import SPAN, Counts
from apm_operator.anomalies.scale import Scale
from bench.anomalies.injected import Injected
from bench.anomalies.judging import Score, judge
from bench.anomalies.series import Series

DAY = 86_400
ODD = Injected("level shift", "latency", DAY, DAY + 3600, 3.0, also=("error_rate",))


def judged(alarms: dict[str, Sequence[float]], odd: tuple[Injected, ...] = (ODD,)) -> Score:
    """Of ten days, of which nine count, by a method that alarms for one look at the times given."""

    class Scripted:
        def __init__(self, scale: Scale, _: int) -> None:
            self.alarm, self._times = False, alarms.get(scale.name, ())

        def observe(self, when: float, _: Counts | None) -> None:
            self.alarm = when in self._times

    steps = [(float(when), Counts()) for when in range(SPAN, 10 * DAY + 1, SPAN)]
    return judge(Series(SPAN, steps, DAY, odd), Scripted)


def test_an_alarm_in_time_has_found_it():
    score = judged({"latency": [DAY + 2 * SPAN]})
    assert (score.found, score.missed, score.false, score.delays) == (1, 0, 0, [2 * SPAN])
    assert score.days == 9


def test_what_was_told_twice_is_found_once_and_one_alarm():
    score = judged({"latency": [DAY + SPAN, DAY + 2 * SPAN, DAY + 4 * SPAN]})
    assert (score.found, score.false, score.delays) == (1, 0, [SPAN])


def test_an_alarm_that_comes_too_late_finds_nothing_and_is_not_false():
    score = judged({"latency": [DAY + 3600 + SPAN]})
    assert (score.found, score.missed, score.false) == (0, 1, 0)


def test_an_alarm_of_another_series_is_false():
    score = judged({"run_rate": [DAY + SPAN]})
    assert (score.found, score.missed, score.false) == (0, 1, 1)


def test_an_alarm_of_a_series_that_may_differ_too_says_nothing():
    score = judged({"error_rate": [DAY + SPAN]})
    assert (score.found, score.missed, score.false) == (0, 1, 0)


def test_alarms_of_other_days_are_false_and_those_of_the_first_weeks_do_not_count():
    score = judged({"latency": [DAY - SPAN, 6 * DAY, 7 * DAY]})
    assert (score.found, score.missed, score.false) == (0, 1, 2)


def test_where_nothing_is_odd_there_is_no_recall():
    score = judged({"latency": [6 * DAY]}, ())
    assert score.told() == {
        "precision": 0.0,
        "recall": None,
        "false_alarms_per_agent_and_week": 0.778,
        "median_delay_minutes": None,
    }


def test_scores_add_up():
    score = judged({"latency": [DAY + SPAN, 6 * DAY]})
    score.add(judged({"latency": [DAY + 3 * SPAN]}))
    score.add(judged({}))
    told = score.told()
    assert (told["precision"], told["recall"]) == (0.667, 0.667)
    assert told["false_alarms_per_agent_and_week"] == round(7 / 27, 3)
    assert told["median_delay_minutes"] == 30
