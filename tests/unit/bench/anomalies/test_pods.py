import pytest

from apm_operator.anomalies.counts import SPAN, Counts
from bench.anomalies import pods
from bench.anomalies.injected import SHAPES
from bench.anomalies.recording import Row
from bench.anomalies.series import START, WEEK
from bench.crowds import CALM_WEEKS
from bench.crowds import WEEK as QUARTERS

CALM = Counts(50, 1, 100.0, 5000.0)
ROWS = [Row(CALM)] * (CALM_WEEKS * QUARTERS)


def test_what_was_made_is_known_with_its_begin_and_end():
    rows = [*ROWS, Row(CALM), Row(CALM, "crowd"), Row(None, "crowd"), Row(CALM), Row(CALM, "slow model"), Row(CALM)]
    series = pods.known(rows)
    begin = START + CALM_WEEKS * WEEK
    assert series.judged == begin
    assert [(each.shape, each.series, each.begin, each.end) for each in series.odd] == [
        ("crowd", "run_rate", begin + SPAN, begin + 3 * SPAN),
        ("slow model", "latency", begin + 4 * SPAN, begin + 5 * SPAN),
    ]
    assert series.odd[0].also == ("error_rate", "latency", "tokens_per_run")
    assert series.steps[-1][0] == START + len(rows) * SPAN


def test_what_was_made_by_two_causes_one_after_the_other_is_two():
    series = pods.known([*ROWS, Row(CALM, "crowd"), Row(CALM, "nobody")])
    assert [each.shape for each in series.odd] == ["crowd", "nobody"]


@pytest.mark.parametrize("shape", SHAPES[:-1])
def test_it_is_put_into_the_last_calm_week(shape):
    for series in pods.agents([*ROWS, Row(CALM, "crowd")], shape, 6, 1):
        (odd,) = series.odd
        assert series.judged == START + (CALM_WEEKS - 1) * WEEK
        assert series.steps[-1][0] == START + CALM_WEEKS * WEEK
        changed = [end for end, counts in series.steps if counts != CALM]
        assert changed
        assert odd.begin < changed[0] <= changed[-1] <= max(odd.end + SPAN, series.steps[-1][0])


def test_the_rhythm_alone_is_looked_at_once():
    (series,) = pods.agents(ROWS, "seasonality", 6, 1)
    assert series.odd == ()
    assert {counts for _, counts in series.steps} == {CALM}
