"""How Prometheus is asked, and what is known where it does not answer."""

from datetime import UTC, datetime, timedelta
from typing import Any

from apm_operator.prometheus import Series, SourceError
from apm_operator.report import collect
from apm_operator.report.figures import Runs, Span

END = datetime(2026, 11, 16, 6, 0, tzinfo=UTC)
DAY = Span(END - timedelta(days=1), END, "Etc/UTC", 3600)


class FakePrometheus:
    """Fails for the first calls."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked: list[str] = []

    async def instant(self, query: str, time: float) -> list[Series]:
        self._ask(query)
        assert time == END.timestamp()
        labels = {"agent": "clerk", "status": "success", "namespace": "shop"}
        return [Series(labels, ((time, 5.0),))] if "apm_agent_runs" in query else []

    async def range(self, query: str, start: float, end: float, step: float) -> list[Series]:
        self._ask(query)
        assert (start, end, step) == (DAY.start.timestamp() + 3600, END.timestamp(), 3600)
        return []

    def _ask(self, query: str) -> None:
        self.asked.append(query)
        if self.failures:
            self.failures -= 1
            raise SourceError("query: HTTP 503: starting")


async def numbers(failures: int) -> Any:
    source: Any = FakePrometheus(failures)
    found = await collect.numbers(source, "shop", DAY, pauses=(0.0, 0.0))
    assert all('namespace="shop"' in query for query in source.asked)
    return found


async def test_a_prometheus_that_restarts_is_asked_again():
    found = await numbers(2)
    assert found.trouble == ""
    assert found.agents["clerk"].runs == Runs(5.0)
    assert len(found.slices) == 24


async def test_one_that_stays_away_leaves_the_numbers_unknown():
    found = await numbers(3)
    assert "HTTP 503: starting" in found.trouble
    assert not found.agents


async def test_none_is_asked_where_none_is_named():
    found = await collect.numbers(None, "shop", DAY)
    assert found.trouble == "spec.prometheus is not set"
