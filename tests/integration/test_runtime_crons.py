"""Crons whose pods die, are frozen, or have clocks of their own: each tick makes one run."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agent_runtime.auth.principal import NOBODY
from agent_runtime.crons.mongo import MongoCrons
from agent_runtime.state.connection import MongoConnection
from agent_runtime.state.records import now
from fakes.agents import CHAT, ECHO, running
from fakes.cron_cases import CASES as CLIENT_CASES
from fakes.cron_contract import CASES, cron
from fakes.replicas import Fleet, replicas

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agent_runtime.crons.cron import Cron

AGENT = "tests/tested"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def connection(mongodb_uri, database) -> AsyncIterator[MongoConnection]:
    it = MongoConnection(lambda: mongodb_uri, database)
    yield it
    await it.close()


@pytest.fixture
async def store(connection) -> MongoCrons:
    it = MongoCrons(connection, AGENT)
    await it.prepare()
    return it


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_crons_in_mongodb(case, connection):
    it = MongoCrons(connection, f"tests/{secrets.token_hex(4)}")
    await it.prepare()
    await case(it)


@pytest.mark.parametrize("case", CLIENT_CASES, ids=lambda case: case.__name__)
async def test_the_sdk(case, mounted, database):
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    async with running({"models": [ECHO], "workflow": CHAT, "state": {"mongodb": mongodb}}, secrets=mounted) as it:
        await case(it.client)


async def test_a_cron_of_a_spec_that_no_pod_has_is_forgotten_while_a_pod_runs(mounted, database):
    # Until then it is due, and KEDA keeps a pod for what is.
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    async with running({"models": [ECHO], "workflow": CHAT, "state": {"mongodb": mongodb}}, secrets=mounted) as it:
        ticker, store = it.agent.crons.ticker, it.agent.crons.store
        old, newer = (
            replace(cron(declared=True, due=now() - timedelta(minutes=ago)), cron_id=f"{ago}") for ago in (11, 9)
        )
        await store.add(old)
        await store.add(newer)
        ticker._tidied = float("-inf")
        ticker.wake()
        async with asyncio.timeout(20):
            while await store.get(old.cron_id) is not None:  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.05)
        assert await store.get(newer.cron_id) is not None


async def test_crons_of_the_spec_that_no_pod_has_any_more_are_removed(store):
    gone, others, mine = cron(declared=True), cron(), cron(declared=True)
    for one in (gone, others, mine):
        await store.add(one)
    await store.forget_declared([mine.cron_id], gone.due)
    assert await store.get(gone.cron_id) == gone
    await store.forget_declared([mine.cron_id], gone.due + MINUTE)
    assert await store.get(gone.cron_id) is None
    assert [await store.get(one.cron_id) for one in (others, mine)] == [others, mine]


@asynccontextmanager
async def fleet(tmp_path, mongodb_uri, database, count: int = 2, clocks: dict[str, float] | None = None):
    spec = {"graph": "fakes.dying:graph"}
    settings = {"FAKE_ORDERS": str(tmp_path), "FAKE_CLOCKS": json.dumps(clocks or {})}
    async with replicas(tmp_path, mongodb_uri, database, count, spec=spec, **settings) as pods:
        yield pods


def due_now(**fields: Any) -> Cron:
    tick = now().replace(microsecond=0)
    asked = {"assistant_id": "agent", "input": {"done": []}, "on_completion": "keep"}
    return cron(**{"schedule": "0 0 1 1 *", "request": asked, "next": tick, "due": tick, **fields})


async def ticked(store: MongoCrons, one: Cron, times: int = 1) -> Cron:
    """The cron, when so many of its ticks have been done."""
    seen = {one.next}
    async with asyncio.timeout(60):
        while True:
            found = await store.get(one.cron_id)
            assert found is not None
            seen.add(found.next)
            if len(seen) > times and not found.claimed:
                return found
            await asyncio.sleep(0.05)


async def made(pods: Fleet, one: Cron) -> list[dict[str, Any]]:
    """All runs of a cron."""
    client = pods[-1].client
    threads = await client.threads.search(limit=1000)
    runs = [run for thread in threads for run in await client.runs.list(thread["thread_id"])]
    return [run for run in runs if run["metadata"].get("cron_id") == one.cron_id]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_tick_whose_pod_dies_is_completed_by_another_one(moment, store, mongodb_uri, database, tmp_path):
    async with fleet(tmp_path, mongodb_uri, database) as pods:
        (tmp_path / f"replica0-{moment}").touch()
        pods[1].freeze()
        one = due_now()
        await store.add(one)
        with suppress(httpx.HTTPError):  # the answer may come too late
            await pods[0].client.crons.create("agent", schedule="0 0 1 1 *", input={})  # now it looks
        await asyncio.to_thread(pods[0].process.wait, 30)
        left = await store.get(one.cron_id)
        assert (left.claimed, left.last) == (True, None)
        pods[1].wake()
        done = await ticked(store, one)
        assert (done.last, done.missed) == (one.next, 0)
        (run,) = await made(pods, one)
        assert run["run_id"] == one.run_id(one.next)
        values = await pods[1].client.runs.join(run["thread_id"], run["run_id"])
        assert values["done"] == ["one", "two", "three"]
        assert len(await made(pods, one)) == 1


async def test_each_tick_makes_one_run_over_three_pods(store, mongodb_uri, database, tmp_path):
    async with fleet(tmp_path, mongodb_uri, database, 3) as pods:
        crons = [due_now(next=now() + timedelta(seconds=3), due=now() + timedelta(seconds=3)) for _ in range(40)]
        await asyncio.gather(*(store.add(one) for one in crons))
        # Told to look: each pod then knows when the first tick is due, and all of them wake at once.
        await asyncio.gather(*(pod.client.crons.create("agent", schedule="0 0 1 1 *", input={}) for pod in pods))
        for one in crons:
            done = await ticked(store, one)
            assert (done.last, done.missed, done.problem) == (one.next, 0, None)
        for one in crons:
            assert [run["run_id"] for run in await made(pods, one)] == [one.run_id(one.next)]


async def test_clocks_that_differ_by_30_s_neither_double_nor_lose_a_tick(store, mongodb_uri, database, tmp_path):
    clocks = {"replica0": 15, "replica1": -15}
    async with fleet(tmp_path, mongodb_uri, database, clocks=clocks) as pods:
        one = due_now(schedule="* * * * *")
        first = now().replace(second=0, microsecond=0) + MINUTE
        one = replace(one, next=first, due=first)
        await store.add(one)
        await asyncio.gather(*(pod.client.crons.create("agent", schedule="0 0 1 1 *", input={}) for pod in pods))
        async with asyncio.timeout((first + MINUTE - now()).total_seconds() + 30):
            found = one
            while found.last is None or found.last < first + MINUTE:
                await asyncio.sleep(0.1)
                found = await store.get(one.cron_id) or one
        runs = {run["run_id"] for run in await made(pods, one)}
        assert {one.run_id(first), one.run_id(first + MINUTE)} <= runs
        assert len(runs) == (found.last - first) // MINUTE + 1
        assert found.missed == 0


async def test_a_pod_that_slept_through_its_claim_makes_no_second_run(store, mongodb_uri, database, tmp_path):
    async with fleet(tmp_path, mongodb_uri, database) as pods:
        pods[0].freeze()
        one = due_now()
        await store.add(one)
        done = await ticked(store, one)
        pods[0].wake()
        await asyncio.sleep(1)
        await pods[0].client.crons.create("agent", schedule="0 0 1 1 *", input={})
        assert done.last == one.next
        assert len(await made(pods, one)) == 1
        assert (await store.get(one.cron_id)).revision == done.revision


async def test_what_was_missed_while_all_pods_were_away_is_counted(store, mongodb_uri, database, tmp_path):
    start = now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    one = due_now(schedule="0 * * * *", next=start, due=start, caller=asdict(NOBODY))
    late = replace(due_now(), deadline=10.0)
    late = replace(late, next=late.next - MINUTE, due=late.next - MINUTE)
    for each in (one, late):
        await store.add(each)
    async with fleet(tmp_path, mongodb_uri, database) as pods:
        done = await ticked(store, one)
        assert done.last >= start + timedelta(hours=5)
        assert done.missed == (done.last - start) // timedelta(hours=1)
        assert len(await made(pods, one)) == 1
        done = await ticked(store, late)
        assert (done.last, done.missed) == (None, 1)
        assert await made(pods, late) == []
