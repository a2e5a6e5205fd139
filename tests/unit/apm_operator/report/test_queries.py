"""What Prometheus' answers mean. What it says to the queries themselves: tests/integration/test_reports.py."""

from datetime import UTC, datetime, timedelta

from apm_operator.prometheus import Series
from apm_operator.report import queries
from apm_operator.report.figures import Measured, Runs, Span

END = datetime(2026, 11, 16, 6, 0, tzinfo=UTC)
AT = END.timestamp()
DAY = Span(END - timedelta(days=1), END, "Etc/UTC", 3600)


def one(value: float, **labels: str) -> Series:
    return Series(labels, ((AT, value),))


def measured(**found: list[Series]) -> Measured:
    whole = {what: found.get(what, []) for what in queries.instant("shop", DAY)}
    return queries.measured(DAY, whole, {what: [] for what in queries.sliced("shop", DAY)})


def test_a_count_that_was_never_raised_is_none_at_all_for_an_agent_that_was_scraped():
    told = measured(scraped=[one(96.0, agent="clerk")]).agents["clerk"]
    assert told.runs == Runs()
    assert (told.tokens, told.cost, told.refusals, told.budget) == (0.0, 0.0, 0.0, {})
    assert told.slow is None


def test_what_was_not_scraped_is_not_known():
    told = measured(certificate_end=[one(AT + 60, agent="clerk")], certificate_life=[one(90.0, agent="clerk")])
    assert told.agents["clerk"].runs is None
    assert told.agents["clerk"].cost is None
    assert told.agents["clerk"].certificate_left == 60
    assert told.agents["clerk"].certificate_life == 90


def test_runs_are_sorted_by_how_they_ended():
    runs = [
        one(count, agent="clerk", status=status)
        for status, count in (("success", 90.2), ("error", 3.0), ("timeout", 1.0), ("interrupted", 5.0))
    ]
    told = measured(scraped=[one(1.0, agent="clerk")], runs=runs).agents["clerk"].runs
    assert told == Runs(90.2, 4.0, 5.0)


def test_a_quantile_of_nothing_is_not_known():
    told = measured(scraped=[one(1.0, agent="clerk")], slow=[one(float("nan"), agent="clerk")])
    assert told.agents["clerk"].slow is None


def test_each_slice_has_its_own_numbers_and_one_without_samples_none():
    found = {what: [] for what in queries.sliced("shop", DAY)}
    last, before = AT, AT - 3600
    found["scraped"] = [Series({}, ((last, 1.0),))]
    found["runs"] = [Series({"status": "success"}, ((before, 7.0), (last, 8.0)))]
    whole = {what: [] for what in queries.instant("shop", DAY)}
    slices = queries.measured(DAY, whole, found).slices
    assert len(slices) == 24
    assert slices[0].start == DAY.start
    assert slices[-1].runs == Runs(8.0)
    assert slices[-1].cost == 0.0
    assert slices[-2].runs is None


def test_without_prometheus_nothing_is_known_and_the_plots_have_their_places():
    told = queries.nothing(DAY, "it is away")
    assert told.trouble == "it is away"
    assert not told.agents
    assert len(told.slices) == 24
    assert all(each.runs is None for each in told.slices)
