"""Anomalies of agents, from an invented Prometheus."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from apm_operator import metrics
from apm_operator.prometheus import Series, SourceError
from apm_operator.queue import Key
from apm_operator.reconcile.anomalies import HISTORY_SECONDS, OFF, QUERY, Anomalies
from unit.apm_operator.world import KEY, World

NOW = 1_767_571_200.0 + 35 * 86_400 + 10 * 3600
QUARTER = 900


class Invented:
    """Twenty runs in each quarter of an hour, from `begin` on."""

    def __init__(self, begin: float) -> None:
        self.begin = begin
        self.tokens: Callable[[float], float] = lambda _: 2000.0
        self.away = False
        self.asked: list[tuple[float, ...]] = []

    async def instant(self, query: str, time: float) -> list[Series]:
        assert query == QUERY
        self.asked.append((time,))
        return self._series([time])

    async def range(self, query: str, start: float, end: float, step: float) -> list[Series]:
        assert query == QUERY
        self.asked.append((start, end))
        return self._series([start + number * step for number in range(int((end - start) // step) + 1)])

    def _series(self, times: list[float]) -> list[Series]:
        if self.away:
            raise SourceError("query: refused")
        times = [time for time in times if time >= self.begin]
        if not times:
            return []
        values = {"runs": runs, "seconds": lambda _: 60.0, "tokens": lambda time: runs(time) * self.tokens(time)}
        return [
            Series(
                {"namespace": KEY.namespace, "agent": KEY.name, "what": what},
                tuple((time, value(time)) for time in times),
            )
            for what, value in values.items()
        ]


def runs(time: float) -> float:
    return 20.0 + random.Random(time).gauss(0, 1)  # noqa: S311


class Watched:
    """The world with its anomalies, and a clock."""

    def __init__(self, weeks: float) -> None:
        self.world = World()
        self.now = NOW
        self.source = Invented(NOW - weeks * 7 * 86_400)
        self.woken: list[Key] = []
        self.restart()
        self.world.write()

    def restart(self) -> None:
        self.world.restart()
        cache = self.world.cache
        self.anomalies = Anomalies(self.source, cache, self.woken.append, interval=60, clock=lambda: self.now)
        self.world.reconciler.anomalous = self.anomalies.aspect

    async def minutes(self, count: int, step: float = 60) -> None:
        for _ in range(count):
            self.now += step
            await self.anomalies.look()

    async def told(self) -> tuple[str, str, str]:
        """Status, reason and message of the condition after a pass."""
        await self.world.reconcile()
        found = next((c for c in self.world.status["conditions"] if c["type"] == "Anomalous"), None)
        return (found["status"], found["reason"], found["message"]) if found else ("", "", "")

    def events(self) -> list[tuple[str, str]]:
        found = (each for each in self.world.kube.objects.values() if each["kind"] == "Event")
        return [(each["reason"], each["type"]) for each in found if each["reason"] in ("Anomaly", "AsUsual")]


@pytest.fixture
def watched() -> Watched:
    return Watched(weeks=4)


async def test_nothing_is_told_before_the_first_look(watched: Watched):
    assert await watched.told() == ("", "", "")


async def test_history_makes_it_know_what_is_usual(watched: Watched):
    await watched.anomalies.look()
    assert watched.woken == [KEY]
    assert (await watched.told())[:2] == ("False", "AsUsual")
    spans = [asked for asked in watched.source.asked if len(asked) == 2]
    assert spans[0][0] >= NOW - HISTORY_SECONDS
    assert all(later[0] == earlier[1] + QUARTER for earlier, later in itertools.pairwise(spans))
    assert NOW - QUARTER < spans[-1][1] <= NOW
    assert watched.events() == []


async def test_too_short_a_history_is_said():
    watched = Watched(weeks=1.5)
    await watched.anomalies.look()
    assert (await watched.told())[:2] == ("Unknown", "Learning")


async def test_an_anomaly_comes_and_goes(watched: Watched):
    await watched.anomalies.look()
    await watched.told()
    watched.woken.clear()
    begin = watched.now
    watched.source.tokens = lambda time: 8200.0 if time < begin + 1800 else 2000.0
    await watched.minutes(1)
    assert watched.woken == []
    await watched.minutes(2)
    assert watched.woken == [KEY]
    status, reason, message = await watched.told()
    assert (status, reason) == ("True", "Anomaly")
    assert message == "tokens per run 4.1 times the usual for Monday 10:00 UTC (8,200 against 2,000)"
    assert watched.events() == [("Anomaly", "Warning")]
    watched.anomalies.export()
    sample = ({"namespace": KEY.namespace, "agent": KEY.name, "series": "tokens_per_run"}, 1.0)
    assert [(each.labels, each.value) for each in metrics.ANOMALOUS.collect()[0].samples] == [sample]
    await watched.minutes(45)
    assert (await watched.told())[:2] == ("True", "Anomaly")
    await watched.minutes(30)
    assert (await watched.told())[:2] == ("False", "AsUsual")
    assert watched.events() == [("Anomaly", "Warning"), ("AsUsual", "Normal")]
    assert watched.woken == [KEY, KEY]
    watched.anomalies.export()
    assert metrics.ANOMALOUS.collect()[0].samples == []


async def test_a_restart_in_an_anomaly_writes_nothing(watched: Watched):
    begin = watched.now
    watched.source.tokens = lambda time: 8000.0 if time >= begin else 2000.0
    await watched.anomalies.look()
    await watched.minutes(8, QUARTER / 3)
    before = await watched.told()
    assert before[0] == "True"
    watched.restart()
    assert await watched.told() == before
    await watched.anomalies.look()
    after = await watched.told()
    assert after[:2] == before[:2]
    assert len(watched.events()) == 1 + (after != before)


async def test_a_gap_is_read_from_the_history(watched: Watched):
    await watched.anomalies.look()
    watched.source.asked.clear()
    watched.source.away = True
    watched.now += 60
    with pytest.raises(SourceError):
        await watched.anomalies.look()
    watched.source.away = False
    watched.now += 3 * 3600
    await watched.anomalies.look()
    assert [len(asked) for asked in watched.source.asked] == [1, 2, 1]
    assert watched.source.asked[1][0] == NOW // QUARTER * QUARTER + QUARTER


async def test_a_source_that_is_away_leaves_what_was_told(watched: Watched):
    await watched.anomalies.look()
    before = await watched.told()
    watched.source.away = True
    with pytest.raises(SourceError):
        await watched.minutes(1)
    assert await watched.told() == before


async def test_an_agent_that_is_gone_is_forgotten(watched: Watched):
    await watched.anomalies.look()
    body: Any = watched.world.kube.objects["AgentDeployment", *KEY[:2]]
    watched.world.cache.observe(body, deleted=True)
    await watched.minutes(1)
    assert watched.anomalies.aspect(KEY) is None


async def test_the_condition_goes_where_nothing_is_watched_any_more(watched: Watched):
    await watched.anomalies.look()
    assert (await watched.told())[0] == "False"
    watched.world.reconciler.anomalous = lambda _: OFF
    assert await watched.told() == ("", "", "")
