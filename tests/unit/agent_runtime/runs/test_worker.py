"""Runs are taken, followed and ended also where many things happen at once."""

from __future__ import annotations

import asyncio
from typing import Any

from agent_runtime.metrics import Metrics
from agent_runtime.runs import worker
from agent_runtime.runs.worker import Worker
from agent_runtime.state.memory import MemoryStore
from fakes.agents import CHAT, last_text, person, running


def _slow(delay: str) -> dict[str, Any]:
    return {
        "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "done", "delay": delay}]}],
        "workflow": CHAT,
    }


async def test_a_second_cancel_does_not_keep_the_first_from_being_written():
    async with running(_slow("1m")) as it:
        thread = (await it.client.threads.create())["thread_id"]
        run = await it.client.runs.create(thread, "agent", input=person("hi"))
        store, begun, go_on = it.agent.store, asyncio.Event(), asyncio.Event()
        end_run = store.end_run

        async def slowly(*given: Any) -> bool:
            begun.set()
            await go_on.wait()
            return await end_run(*given)

        store.end_run = slowly  # type: ignore[method-assign]
        async with asyncio.timeout(10):
            while it.agent.runs.worker.job(run["run_id"]) is None:  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.01)
            await it.client.runs.cancel(thread, run["run_id"])
            await begun.wait()
            await it.client.runs.cancel(thread, run["run_id"])
            go_on.set()
            await it.client.runs.join(thread, run["run_id"])
        assert (await it.client.runs.get(thread, run["run_id"]))["status"] == "interrupted"


async def test_runs_offered_to_a_full_pod_begin_as_soon_as_there_is_room(monkeypatch):
    monkeypatch.setattr(worker, "_POLL", 60.0)
    async with running(_slow("100ms"), max_runs=1) as it, asyncio.timeout(20):
        ended = await asyncio.gather(*(it.client.runs.wait(None, "agent", input=person("hi")) for _ in range(4)))
    assert [last_text(values) for values in ended] == ["done"] * 4


async def test_who_waits_longer_than_another_is_still_woken(monkeypatch):
    monkeypatch.setattr(worker, "_LOOK", 0.05)
    it = Worker(MemoryStore(), None, Metrics(), max_runs=1, lease_timeout=10)  # type: ignore[arg-type]
    first = asyncio.create_task(it.changed("r"))
    await asyncio.sleep(0)
    monkeypatch.setattr(worker, "_LOOK", 60.0)
    second = asyncio.create_task(it.changed("r"))
    await first
    it._notify("r")
    async with asyncio.timeout(5):
        await second


async def test_a_stateless_run_keeps_its_thread_where_asked_to():
    async with running(_slow("1ms")) as it:
        await it.client.runs.wait(None, "agent", input=person("hi"), on_completion="keep")
        assert [thread["metadata"] for thread in await it.client.threads.search()] == [{}]
