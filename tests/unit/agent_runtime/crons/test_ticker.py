from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent_runtime.errors import UnavailableError
from agent_runtime.state.records import now
from fakes.agents import CHAT, ECHO, person, running
from fakes.cron_contract import cron

SPEC = {"models": [ECHO], "workflow": CHAT}
ASKED = {"assistant_id": "agent", "input": person("Hello"), "on_completion": "keep"}
SECOND = timedelta(seconds=1)


async def until(condition):
    async with asyncio.timeout(20):
        while not (found := await condition()):  # noqa: ASYNC110 - polled with a deadline
            await asyncio.sleep(0.01)
        return found


async def kept(it, one):
    found = await it.agent.crons.store.get(one.cron_id)
    assert found is not None
    return found


async def plant(it, **fields: Any):
    """A cron as it stands in the store when its tick has come."""
    moment = now().replace(microsecond=0)
    one = cron(**{"schedule": "0 0 1 1 *", "request": ASKED, "next": moment, "due": moment, **fields})
    await it.agent.crons.store.add(one)
    it.agent.crons.ticker.wake()
    return one


def ticks(it, result):
    return it.agent.metrics.registry.get_sample_value("apm_agent_crons_ticks_total", {"result": result}) or 0


async def test_makes_the_run_of_a_tick_once():
    async with running(SPEC) as it:
        one = await plant(it)
        run_id = one.run_id(one.next)
        values = await until(lambda: joined(it, run_id))
        assert values["messages"][-1]["content"] == "You said: Hello"
        after = await kept(it, one)
        assert (after.last, after.missed, after.claimed) == (one.next, 0, False)
        assert after.next > now()
        assert (await it.client.runs.get(run_id, run_id))["metadata"]["cron_id"] == one.cron_id
        # A pod that was slow, and comes with the same tick, makes no other one.
        await it.agent.crons.store.change(replace(after, next=one.next, due=one.next, claimed=True))
        it.agent.crons.ticker.wake()
        await until(lambda: advanced(it, one))
        assert len(await it.client.threads.search()) == 1
        assert [run["run_id"] for run in await it.client.runs.list(run_id)] == [run_id]
        assert ticks(it, "run") == 2
        assert it.agent.metrics.registry.get_sample_value("apm_agent_crons_lag_seconds_count") == 2


async def joined(it, run_id):
    if await it.client.threads.search(ids=[run_id]):
        return await it.client.runs.join(run_id, run_id)
    return None


async def advanced(it, one):
    return (await kept(it, one)).next != one.next


async def test_wakes_when_a_tick_is_due():
    async with running(SPEC) as it:
        one = await plant(it, next=now() + SECOND, due=now() + SECOND)
        await asyncio.sleep(0.5)
        assert (await kept(it, one)).revision == 0
        await until(lambda: advanced(it, one))
        assert (await kept(it, one)).last == one.next
        assert it.agent.metrics.registry.get_sample_value("apm_agent_crons_lag_seconds_sum") < 0.5


async def test_only_the_latest_of_missed_ticks_is_made_up_for():
    async with running(SPEC) as it:
        first = now().replace(second=0, microsecond=0) - timedelta(minutes=5)
        one = await plant(it, schedule="* * * * *", next=first, due=first)
        await until(lambda: advanced(it, one))
        after = await until(lambda: settled(it, one))
        assert after.missed >= 5
        assert after.last >= first + timedelta(minutes=5)
        assert len(await it.client.threads.search()) == ticks(it, "run")
        assert ticks(it, "missed") == after.missed


async def settled(it, one):
    found = await kept(it, one)
    return found if found.last is not None and not found.claimed else None


async def test_a_tick_past_its_deadline_is_missed():
    async with running(SPEC) as it:
        late = now() - timedelta(minutes=2)
        one = await plant(it, next=late, due=late, deadline=60.0)
        await until(lambda: advanced(it, one))
        after = await kept(it, one)
        assert (after.missed, after.last) == (1, None)
        assert "too late" in after.problem
        assert await it.client.threads.search() == []


async def test_a_tick_that_was_run_before_its_deadline_is_not_missed():
    async with running(SPEC) as it:
        one = await plant(it)
        await until(lambda: advanced(it, one))
        after = await kept(it, one)
        # As a pod left it that died after it had made the run; nobody came for long.
        await it.agent.crons.store.change(replace(after, next=one.next, due=one.next, claimed=True, deadline=0.0))
        it.agent.crons.ticker.wake()
        again = await until(lambda: advanced_from(it, after.revision + 1))
        assert (again.missed, again.problem) == (0, None)


async def advanced_from(it, revision):
    (one,) = await it.agent.crons.store.upcoming([], 10)
    return one if one.revision > revision and not one.claimed else None


async def test_where_there_is_no_room_it_is_tried_again(monkeypatch):
    monkeypatch.setattr("agent_runtime.runs.quota._RETRY_AFTER", 0.1)
    slow = {"models": [{**ECHO, "script": [{"reply": "slow", "delay": "4s"}]}], "workflow": CHAT}
    async with running({**slow, "runs": {"maxQueued": 1}}) as it:
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.create(thread, "agent", input=person("first"))
        one = await plant(it)
        found = await until(lambda: with_problem(it, one))
        assert "maxQueued" in found.problem or "runs" in found.problem
        assert not found.claimed
        await until(lambda: advanced(it, one))
        after = await kept(it, one)
        assert (after.last, after.problem, after.missed) == (one.next, None, 0)
        assert ticks(it, "put off") >= 1


async def with_problem(it, one):
    found = await kept(it, one)
    return found if found.problem else None


async def test_a_run_that_is_refused_does_not_stop_the_cron():
    async with running(SPEC) as it:
        one = await plant(it, request={**ASKED, "input": {"unknown": 1}})
        await until(lambda: advanced(it, one))
        after = await kept(it, one)
        assert "unknown" in after.problem
        assert after.enabled
        assert ticks(it, "refused") == 1


async def test_a_cron_ends_with_its_thread():
    async with running(SPEC) as it:
        one = await plant(it, thread_id="gone")
        await until(lambda: with_problem(it, one))
        after = await kept(it, one)
        assert (after.enabled, after.next, after.due) == (False, None, None)


async def test_a_state_that_is_away_for_a_moment_costs_no_tick(monkeypatch):
    async with running(SPEC) as it:
        submit, calls = type(it.agent.runs).submit, []

        async def fails_first(*arguments: Any, **options: Any) -> Any:
            calls.append(arguments[3].run_id)
            if len(calls) == 1:
                raise UnavailableError("away")
            return await submit(*arguments, **options)

        monkeypatch.setattr("agent_runtime.crons.ticker._TAKEN", 0.2)
        monkeypatch.setattr(type(it.agent.runs), "submit", fails_first)
        one = await plant(it)
        await until(lambda: advanced(it, one))
        assert calls == [one.run_id(one.next)] * 2
        assert (await kept(it, one)).last == one.next


async def test_many_crons_that_are_due_at_once():
    async with running(SPEC) as it:
        crons = [await plant(it) for _ in range(250)]
        for one in crons:
            await until(lambda one=one: advanced(it, one))
        assert ticks(it, "run") == 250


@pytest.mark.parametrize("enabled", [True, False])
async def test_crons_of_the_spec(enabled):
    declared = {"name": "hourly", "schedule": "0 * * * *", "timeZone": "Asia/Tokyo", "input": person("Hello")}
    async with running({**SPEC, "crons": [{**declared, "enabled": enabled, "onCompletion": "keep"}]}) as it:
        store = it.agent.crons.store
        ids = [one.cron_id for one in it.agent.crons.ticker._declared]
        found = await store.upcoming(ids, 10)
        assert [one.declared for one in found] == [True] * enabled
        if not enabled:
            return
        (one,) = found
        tick = now().replace(microsecond=0)
        await store.change(replace(one, next=tick, due=tick))
        it.agent.crons.ticker.wake()
        await until(lambda: advanced(it, replace(one, next=tick)))
        run = await it.agent.store.run(one.principal.key(one.run_id(tick)), one.run_id(tick))
        assert run.owner == "mtls|tests/tested"
        assert run.metadata["cron"] == "hourly"
        assert await it.client.crons.search() == []
