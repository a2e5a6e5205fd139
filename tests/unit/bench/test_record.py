from apm_operator.anomalies.counts import Counts
from bench.crowds import CALM_WEEKS, CROWDS, MADE, QUARTERS, WEEK, WEEKS
from bench.record import counted, whim

SCRAPED = """\
# HELP apm_agent_runs_total Runs that ended here, by status.
# TYPE apm_agent_runs_total counter
apm_agent_runs_total{status="success"} 40.0
apm_agent_runs_total{status="error"} 2.0
apm_agent_runs_total{status="timeout"} 1.0
apm_agent_runs_created{status="success"} 1.7e+09
apm_agent_run_duration_seconds_bucket{le="0.05"} 30.0
apm_agent_run_duration_seconds_count 43.0
apm_agent_run_duration_seconds_sum 2.5
apm_agent_runs_running 3.0
apm_agent_model_tokens_total{direction="input",model="default"} 600.0
apm_agent_model_tokens_total{direction="output",model="default"} 1500.0
"""


def test_it_counts_what_the_operator_asks_for():
    assert counted(SCRAPED) == Counts(43, 3, 2.5, 2100)


def test_an_agent_that_has_done_nothing_has_counted_nothing():
    assert counted("# TYPE apm_agent_runs_total counter\n") == Counts()


def test_all_is_made_to_go_wrong_in_the_last_week_and_nothing_before():
    for crowd in CROWDS:
        made = [crowd.made(quarter) for quarter in range(WEEKS * WEEK)]
        assert set(made[: CALM_WEEKS * WEEK]) == {""}
        assert {name: made.count(name) for name in MADE} == dict.fromkeys(MADE, 12)
        for day, name in enumerate(MADE):
            assert made.index(name) // QUARTERS == CALM_WEEKS * 7 + day


def test_a_model_does_as_it_is_made_to():
    (crowd, *_) = CROWDS
    usual = whim(crowd, crowd.busiest * 4)
    last = {name: whim(crowd, CALM_WEEKS * WEEK + day * QUARTERS + crowd.busiest * 4) for day, name in enumerate(MADE)}
    assert last["slow model"].seconds > 5 * usual.seconds
    assert last["refusing model"].failing > 10 * usual.failing
    assert last["long answers"].words > 3 * usual.words
    assert last["crowd"] == last["nobody"] == usual
