from apm_operator.anomalies.counts import Counts
from bench.anomalies.series import Series

ONE = Counts(1, 2, 3, 4)


def test_a_look_sees_the_last_quarter_of_an_hour():
    windows = list(Series(300, [(300.0 * number, ONE) for number in range(1, 6)], 0).windows())
    assert windows[-1] == (1500, Counts(3, 6, 9, 12))


def test_nothing_is_known_of_a_quarter_of_an_hour_with_a_gap():
    steps = [(300, ONE), (600, None), (900, ONE), (1200, ONE), (1500, ONE)]
    assert [counts is None for _, counts in Series(300, steps, 0).windows()] == [False, True, True, True, False]
