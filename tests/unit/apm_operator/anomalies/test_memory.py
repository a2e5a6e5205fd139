import pytest

from apm_operator.anomalies.memory import HOURS, WEEKS, Memory


def filled(values: list[float]) -> Memory:
    """One value for each hour of a week, weeks one after the other."""
    memory = Memory()
    for week, value in enumerate(values):
        for hour in range(HOURS):
            memory.put(week * HOURS + hour, value)
    return memory


def test_one_week_is_too_little():
    assert filled([5.0]).usual(HOURS) is None


def test_usual_is_the_median_of_the_weeks():
    usual = filled([5.0, 5.0, 9.0, 5.2]).usual(4 * HOURS)
    assert usual is not None
    assert usual.centre == pytest.approx(5.1)


def test_a_value_gives_way_after_four_weeks():
    usual = filled([100.0, 5.0, 5.0, 5.0, 5.0]).usual(5 * HOURS)
    assert usual is not None
    assert (usual.centre, usual.spread) == (5.0, 0.0)


def test_hours_beside_it_are_told():
    memory = Memory()
    for hour in range(WEEKS * HOURS):
        memory.put(hour, 8.0 if hour % 24 == 3 else 2.0)
    usual = memory.usual(WEEKS * HOURS + 2)
    assert usual is not None
    assert (usual.centre, usual.low, usual.high) == (2.0, 2.0, 8.0)


def test_hours_without_a_value_are_empty():
    memory = filled([5.0, 5.0, 5.0, 5.0])
    memory.put(8 * HOURS, 7.0)
    assert memory.usual(8 * HOURS + 5) is None


def test_another_level_can_be_taken_for_usual():
    memory = filled([5.0, 5.0])
    memory.shift(-1.5)
    usual = memory.usual(2 * HOURS)
    assert usual is not None
    assert usual.centre == pytest.approx(3.5)


def test_what_is_beyond_the_scale_is_its_end():
    usual = filled([1e9, 1e9]).usual(2 * HOURS)
    assert usual is not None
    assert usual.centre == pytest.approx(32.767)
