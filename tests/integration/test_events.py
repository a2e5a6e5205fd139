"""Events of an agent whose state lies in MongoDB: two pods in one process."""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from agent_runtime.events.event import Event
from agent_runtime.events.log import EventLog
from agent_runtime.events.metrics import EventMetrics
from agent_runtime.events.mongo import MongoStorage
from agent_runtime.state.connection import MongoConnection
from fakes.agents import RunningAgent, running
from fakes.clocked import BEGUN
from fakes.events import NOTE, STATE, drained, eventually, order, seen, subscribed, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def pods(
    spec: dict[str, Any], database: str, mounted: Path
) -> AsyncIterator[tuple[RunningAgent, RunningAgent, EventLog, EventLog]]:
    """Two pods of one agent, and their logs."""
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    whole = {**spec, "state": {"mongodb": mongodb}}
    async with running(whole, secrets=mounted) as first, running(whole, secrets=mounted) as second:
        assert first.agent.events
        assert second.agent.events
        yield first, second, first.agent.events.log, second.agent.events.log


async def test_one_event_starts_one_run_whichever_pods_it_comes_to(database, mounted):
    async with pods(subscribed(threads=False), database, mounted) as (first, _, one, other):
        accepted = await asyncio.gather(*(log.append(order(number)) for number in range(20) for log in (one, other)))
        assert sum(accepted) == 20
        await drained(one)
        await eventually(lambda: _all_idle(first, 20))
        assert sorted(await seen(first.client)) == sorted([str(number)] for number in range(20))
        assert not await one.append(order(7)), "its twin is known when everybody has got it"


async def test_events_of_a_subject_come_in_order_while_both_pods_take_them(database, mounted):
    async with pods(subscribed(), database, mounted) as (first, _, one, other):

        async def send(subject: str) -> None:
            for number in range(12):
                await random.choice((one, other)).append(order(f"{subject}{number:02}", subject))  # noqa: S311

        await asyncio.gather(*(send(subject) for subject in "abcd"))
        await drained(one)
        await eventually(lambda: _all_idle(first, 4), 30.0)
        found = sorted(await seen(first.client))
        assert found == [[f"{subject}{number:02}" for number in range(12)] for subject in "abcd"]


async def test_a_consumer_that_fails_gets_its_dead_letter_again_on_demand(database, mounted):
    spec = subscribed(attempts=2)
    spec["events"]["subscribe"].append(
        {"name": "later", "type": "boss.said", "resume": {"threadKey": "event.subject", "answer": "event.data.word"}}
    )
    gate = {"name": "gate", "uses": "approval", "with": {"ask": "Go?", "routes": {"yes": "note", "no": "end"}}}
    spec["workflow"] = {"state": STATE, "start": "gate", "nodes": [gate, NOTE]}
    async with pods(spec, database, mounted) as (first, _, one, other):
        said = Event(id="w", source="/boss", type="boss.said", subject="a", data={"word": "yes"})
        await one.append(said)
        (letter,) = await eventually(other.dead_letters)
        assert (letter.consumer, letter.attempts) == ("subscribe/later", 2)
        assert "no thread of this key" in letter.error
        assert letter.entry.event == said
        await one.append(order("1", "a"))
        await eventually(lambda: _waits(first))
        await other.replay(letter.id)
        await eventually(lambda: _has_seen(first, [["1"]]))
        assert await one.dead_letters() == []


async def test_a_run_goes_on_by_an_event_at_the_other_pod(database, mounted):
    async with pods(waiting(), database, mounted) as (first, second, one, other):
        for number in range(3):
            await first.client.runs.wait(None, "agent", input={"order": f"o{number}"}, on_completion="keep")
        for number in range(3):
            paid = order(f"p{number}", f"o{number}", kind="bank.paid")
            assert sorted(await asyncio.gather(one.append(paid), other.append(paid))) == [False, True]
        await eventually(lambda: _has_seen(second, [["o0"], ["o1"], ["o2"]]))


async def test_an_event_that_comes_while_its_run_gets_to_rest_is_not_lost(database, mounted):
    async with pods(waiting(), database, mounted) as (first, second, _, other):

        async def ask(number: int) -> None:
            await first.client.runs.wait(None, "agent", input={"order": f"o{number}"}, on_completion="keep")

        async def answer(number: int) -> None:
            await asyncio.sleep(number * 0.01)  # some before, some amid, some after
            await other.append(order(f"p{number}", f"o{number}", kind="bank.paid"))

        numbers = range(8)
        await asyncio.gather(*(ask(number) for number in numbers), *(answer(number) for number in numbers))
        await eventually(lambda: _has_seen(second, [[f"o{number}"] for number in numbers]), 20.0)


async def test_a_run_begins_as_soon_as_its_event_is_there(database, mounted, capsys):
    start = {"input": {"order": "event.id"}}
    spec = {"graph": "fakes.clocked:graph", "events": {"subscribe": [{"name": "o", "type": "*", "start": start}]}}
    took = []
    async with pods(spec, database, mounted) as (_, _, one, other):
        for number in range(40):
            begun = time.perf_counter()
            await (one if number % 2 else other).append(order(number))
            await eventually(lambda number=number: _begun(str(number)))
            took.append(1000 * (BEGUN[str(number)] - begun))
    p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
    with capsys.disabled():
        sys.stdout.write(f"\nevent to first node: p50 {p50:.0f} ms, p95 {p95:.0f} ms, max {max(took):.0f} ms\n")
    assert p50 < 500, "a look comes once a second: who is woken is sooner"


async def test_what_is_done_leaves_only_what_tells_its_twin(database, mounted):
    async with pods(subscribed(), database, mounted) as (first, _, one, _other):
        await one.append(order("1"))
        await drained(one)
        assert first.agent.connection is not None
        db = first.agent.connection.database
        (left,) = [document async for document in db["events"].find()]
        assert left.keys() == {"_id", "agent", "pending", "open", "accepted_at", "expires"}
        assert left["pending"] == []

        async def free() -> bool:
            return await db["event_lanes"].count_documents({}) == 0

        await eventually(free)


async def test_a_log_of_one_agent_is_not_another_s(mongodb_uri, database):
    connection = MongoConnection(lambda: mongodb_uri, database)
    registry = CollectorRegistry()
    metrics = EventMetrics(registry)
    logs = []
    for agent in ("tests/a", "tests/a-b"):
        storage = MongoStorage(connection, agent, 60.0)
        await storage.prepare()
        logs.append((EventLog(storage, [_Anything()], 10, metrics), storage))
    for log, storage in logs:
        assert await log.append(order("1"))
        assert await storage.backlog() == 1
        (lane,) = await storage.waiting("sink/x", (), 5)
        (entry,) = await storage.pending("sink/x", lane, 5)
        assert entry.event == order("1")
    await connection.close()


class _Anything:
    name = "sink/x"

    async def wants(self, event: Event) -> bool:
        return bool(event)

    async def deliver(self, entry: Any) -> None:
        """Is never called: there is no dispatcher."""


async def _begun(name: str) -> bool:
    return name in BEGUN


async def _all_idle(it: RunningAgent, count: int) -> bool:
    threads = await it.client.threads.search(limit=100)
    return len(threads) == count and all(thread["status"] == "idle" for thread in threads)


async def _waits(it: RunningAgent) -> bool:
    return bool(await it.client.threads.search(status="interrupted"))


async def _has_seen(it: RunningAgent, expected: list[list[str]]) -> bool:
    return sorted(await seen(it.client)) == expected
