"""Runs that are cancelled, and runs that come while another one executes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError

from fakes.agents import CHAT, ECHO, last_text, person, running

if TYPE_CHECKING:
    from fakes.agents import RunningAgent

STEPS = {
    "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "late", "delay": "1m"}]}],
    "workflow": {
        "state": {"n": {"type": "integer", "default": 0}, "text": {"type": "string"}},
        "start": "quick",
        "nodes": [
            {"name": "quick", "uses": "set", "with": {"values": {"n": "state.n + 1"}}, "next": "choose"},
            {
                "name": "choose",
                "uses": "set",
                "with": {"values": {"text": "'chosen'"}},
                "next": {"switch": [{"when": "state.n > 10", "to": "slow"}], "else": "end"},
            },
            {"name": "slow", "uses": "model", "with": {"save": "text", "input": "'x'"}, "next": "end"},
        ],
    },
}
"""Runs end at once unless their `n` is above 9."""


async def _blocked(it: RunningAgent, thread: str, **options: Any) -> str:
    """A run that has executed some steps and does not end by itself."""
    run = await it.client.runs.create(thread, "agent", input={"n": 10}, **options)
    async with asyncio.timeout(10):
        while (await it.client.threads.get_state(thread))["next"] != ["slow"]:  # noqa: ASYNC110 - with a deadline
            await asyncio.sleep(0.01)
    return run["run_id"]


async def test_a_run_that_is_rolled_back_leaves_nothing():
    async with running(STEPS) as it:
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(thread, "agent", input={"n": 1})
        before = await it.client.threads.get_history(thread)
        run = await _blocked(it, thread)
        joined = asyncio.create_task(it.client.runs.join(thread, run))
        await it.client.runs.cancel(thread, run, action="rollback", wait=True)
        assert await it.client.threads.get_history(thread) == before
        with pytest.raises(NotFoundError):
            await it.client.runs.get(thread, run)
        assert (await it.client.threads.get(thread))["status"] == "idle"
        assert "rolled back" in (await joined)["__error__"]["message"]
        values = await it.client.runs.wait(thread, "agent", input={})
        assert values["n"] == 3


async def test_a_run_that_waits_is_removed_by_a_roll_back():
    async with running(STEPS) as it:
        thread = (await it.client.threads.create())["thread_id"]
        first = await _blocked(it, thread)
        second = await it.client.runs.create(thread, "agent", input={"n": 1})
        await it.client.runs.cancel(thread, second["run_id"], action="rollback", wait=True)
        assert [run["run_id"] for run in await it.client.runs.list(thread)] == [first]
        assert (await it.client.threads.get(thread))["status"] == "busy"


async def test_a_run_that_has_ended_is_not_cancelled():
    async with running({"models": [ECHO], "workflow": CHAT}) as it:
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(thread, "agent", input=person("hi"))
        [run] = await it.client.runs.list(thread)
        for action in ("interrupt", "rollback"):
            with pytest.raises(ConflictError, match="has ended already"):
                await it.client.runs.cancel(thread, run["run_id"], action=action)
        answer = await it.client.http.client.post(f"/threads/{thread}/runs/{run['run_id']}/cancel?action=undo")
        assert answer.status_code == 422


@pytest.mark.parametrize(("strategy", "n", "runs"), [("interrupt", 12, 3), ("rollback", 2, 1)])
async def test_a_newer_run_takes_the_place_of_those_before_it(strategy, n, runs):
    async with running(STEPS) as it, asyncio.timeout(20):
        thread = (await it.client.threads.create())["thread_id"]
        first = await _blocked(it, thread)
        waiting = await it.client.runs.create(thread, "agent", input={"n": 5})
        newer = await it.client.runs.create(thread, "agent", input={"text": "newer"}, multitask_strategy=strategy)
        if strategy == "interrupt":
            # The newer one goes on from what the first one came to, and so does not end either.
            async with asyncio.timeout(10):
                while (await it.client.threads.get_state(thread))["values"]["n"] != n:  # noqa: ASYNC110 - with a deadline
                    await asyncio.sleep(0.01)
            statuses = {run["run_id"]: run["status"] for run in await it.client.runs.list(thread)}
            assert statuses == {
                first: "interrupted",
                waiting["run_id"]: "interrupted",
                newer["run_id"]: "running",
            }
        else:
            assert (await it.client.runs.join(thread, newer["run_id"]))["n"] == 1
        assert len(await it.client.runs.list(thread)) == runs


async def test_the_run_before_has_ended_when_the_next_one_begins():
    async with running(STEPS) as it, asyncio.timeout(20):
        thread = (await it.client.threads.create())["thread_id"]
        first = await _blocked(it, thread)
        saver, begun, go_on = it.agent.graph.checkpointer, asyncio.Event(), asyncio.Event()
        forget = saver.adelete_for_runs

        async def slowly(run_ids: list[str]) -> None:
            begun.set()
            await go_on.wait()
            await forget(run_ids)

        saver.adelete_for_runs = slowly
        newer = await it.client.runs.create(thread, "agent", input={"n": 1}, multitask_strategy="rollback")
        await begun.wait()
        assert (await it.client.runs.get(thread, newer["run_id"]))["status"] == "pending"
        assert (await it.client.runs.get(thread, first))["status"] == "running"
        go_on.set()
        assert (await it.client.runs.join(thread, newer["run_id"]))["n"] == 2


async def test_many_runs_are_cancelled_at_once():
    async with running(STEPS, max_runs=2) as it, asyncio.timeout(30):
        threads = [(await it.client.threads.create())["thread_id"] for _ in range(3)]
        running_ = [await _blocked(it, thread) for thread in threads[:2]]
        waiting = [(await it.client.runs.create(threads[2], "agent", input={"n": 10}))["run_id"] for _ in range(3)]
        await it.client.runs.cancel_many(status="pending", action="rollback")
        assert await it.client.runs.list(threads[2]) == []
        await it.client.runs.cancel_many(thread_id=threads[0], run_ids=running_[:1])
        await it.client.runs.join(threads[0], running_[0])
        await it.client.runs.cancel_many(status="all")
        await it.client.runs.join(threads[1], running_[1])
        with pytest.raises(NotFoundError):
            await it.client.runs.cancel_many(run_ids=waiting)
        with pytest.raises(httpx.HTTPStatusError) as refused:
            await it.client.runs.cancel_many(thread_id=threads[0])
        assert refused.value.response.status_code == 422


async def test_a_run_that_waits_is_deleted_and_one_that_executes_is_not():
    async with running(STEPS) as it:
        thread = (await it.client.threads.create())["thread_id"]
        first = await _blocked(it, thread)
        second = await it.client.runs.create(thread, "agent", input={"n": 1})
        await it.client.runs.delete(thread, second["run_id"])
        with pytest.raises(ConflictError, match="cancel it first"):
            await it.client.runs.delete(thread, first)
        assert [run["run_id"] for run in await it.client.runs.list(thread)] == [first]


async def test_fresh_input_on_a_thread_that_waits_begins_anew():
    async with running({"models": [ECHO], "workflow": CHAT}) as it:
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(thread, "agent", input=person("one"), interrupt_before=["answer"])
        assert (await it.client.threads.get(thread))["status"] == "interrupted"
        # As LangGraph's server does: the wait is over, and what was said before it stays.
        values = await it.client.runs.wait(thread, "agent", input=person("two"))
        assert [message["content"] for message in values["messages"]] == ["one", "two", "You said: two"]
        assert last_text(values) == "You said: two"
        assert (await it.client.threads.get(thread))["status"] == "idle"
