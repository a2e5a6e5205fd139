"""Threads go when they are old, and no sooner."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from agent_runtime.runs.service import TEMPORARY
from agent_runtime.runs.sweeper import Sweeper
from agent_runtime.state.records import Thread, now
from fakes.agents import CHAT, ECHO, person, running

SPEC: dict[str, Any] = {"models": [ECHO], "workflow": CHAT}
LONG_AGO = now() - timedelta(hours=1)


async def test_threads_past_their_time_to_live_go():
    async with running(SPEC) as it:
        await it.agent.store.add_thread(Thread("old", updated_at=LONG_AGO))
        await it.agent.store.add_thread(Thread("young"))
        await Sweeper(it.agent.store, it.agent.runs.worker, 600.0).sweep()
        assert [thread["thread_id"] for thread in await it.client.threads.search()] == ["young"]


async def test_a_thread_that_came_back_to_life_stays(monkeypatch):
    async with running(SPEC) as it:
        await it.agent.store.add_thread(Thread("t"))

        async def found(*_: Any) -> list[str]:
            return ["t"]  # as if it had been idle a moment ago

        monkeypatch.setattr(it.agent.store, "idle_since", found)
        await Sweeper(it.agent.store, it.agent.runs.worker, 600.0).sweep()
        assert await it.agent.store.thread("t") is not None


async def test_left_over_threads_of_stateless_runs_go_though_threads_are_kept_for_ever():
    async with running(SPEC) as it:
        await it.agent.store.add_thread(Thread("left", metadata={TEMPORARY: True}, updated_at=LONG_AGO))
        await it.agent.store.add_thread(Thread("running", metadata={TEMPORARY: True}))
        await it.agent.store.add_thread(Thread("kept", updated_at=LONG_AGO))
        await Sweeper(it.agent.store, it.agent.runs.worker, None).sweep()
        assert {thread["thread_id"] for thread in await it.client.threads.search()} == {"running", "kept"}


async def test_a_thread_that_runs_stays():
    async with running(SPEC) as it:
        await it.agent.store.add_thread(Thread("t", updated_at=LONG_AGO))
        async with it.agent.runs.worker.hold("t"):
            await Sweeper(it.agent.store, it.agent.runs.worker, 600.0).sweep()
        assert await it.agent.store.thread("t") is not None


async def test_runs_that_wait_for_their_time_keep_their_threads():
    async with running(SPEC) as it:
        store = it.agent.store
        spoken = (await it.client.threads.create())["thread_id"]
        later = [
            await it.client.runs.create(thread, "agent", input=person("later"), after_seconds=7200)
            for thread in (None, spoken)
        ]
        # Runs that have no time to wait for pass the other one, and leave the thread idle.
        await it.client.runs.wait(spoken, "agent", input=person("now"))
        for kept in store._kept.values():
            kept.thread = replace(kept.thread, updated_at=LONG_AGO)
        await Sweeper(store, it.agent.runs.worker, 600.0).sweep()
        for run in later:
            assert (await it.client.runs.get(run["thread_id"], run["run_id"]))["status"] == "pending"
        assert await store.idle_since(LONG_AGO + timedelta(minutes=1), 100) == []  # others are looked at next


async def test_the_longest_time_to_live_is_no_end_of_the_calendar():
    async with running(SPEC) as it:
        sweeper = Sweeper(it.agent.store, it.agent.runs.worker, 99999999 * 86400.0)
        await it.agent.store.add_thread(Thread("t", updated_at=LONG_AGO))
        await sweeper.sweep()
        assert await it.agent.store.thread("t") is not None


async def test_an_agent_sweeps():
    async with running(SPEC) as it:
        names = {type(part).__name__ for part in it.agent._parts}
        assert "Sweeper" in names


async def test_a_thread_whose_pod_died_right_after_its_run_is_busy_no_more():
    async with running(SPEC) as it:
        store, sweeper = it.agent.store, Sweeper(it.agent.store, it.agent.runs.worker, None)
        spoken = (await it.client.threads.create())["thread_id"]
        waits = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(spoken, "agent", input=person("hi"))
        await it.client.runs.create(waits, "agent", input=person("later"), after_seconds=7200)
        for thread_id in (spoken, waits):
            store._kept[thread_id].thread = replace(store._kept[thread_id].thread, status="busy", updated_at=LONG_AGO)
        await sweeper.settle()
        assert (await it.client.threads.get(spoken))["status"] == "idle"
        assert (await it.client.threads.get(waits))["status"] == "busy", "it has a run that waits for its time"
