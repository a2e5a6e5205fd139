from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph_sdk.errors import RateLimitError

from agent_runtime.runs.quota import refusal
from agent_runtime.state.records import Run
from fakes.agents import CHAT, person, running


@pytest.mark.parametrize(
    ("queued", "owner", "count", "most", "accepted"),
    [
        ({}, "a", 1, 1, True),
        ({"a": 1}, "b", 1, 1, False),
        ({"a": 8}, "a", 1, 10, True),
        ({"a": 9}, "a", 1, 10, False),
        ({"a": 9}, "b", 1, 10, True),
        ({"a": 4, "b": 1}, "a", 1, 10, True),
        ({"a": 5, "b": 1}, "a", 1, 10, False),
        ({"a": 5, "b": 5}, "c", 1, 10, False),
        ({"a": 5}, "a", 5, 10, False),
        ({"a": 5}, "a", 4, 10, True),
    ],
)
def test_who_may_add_runs(queued, owner, count, most, accepted):
    assert (refusal(queued, owner, count, most) is None) == accepted


def _slow(**runs: int) -> dict[str, Any]:
    model = {"name": "default", "provider": "scripted", "script": [{"reply": "done", "delay": "1m"}]}
    return {"models": [model], "workflow": CHAT, "runs": runs}


async def test_past_the_limit_runs_are_refused_until_others_have_ended():
    async with running(_slow(maxQueued=10, concurrency=2)) as it:
        made = [await it.client.runs.create(None, "agent", input=person("hi")) for _ in range(9)]
        answer = await it.client.http.client.post("/runs", json={"assistant_id": "agent", "input": person("hi")})
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "5"
        assert "9 of your runs have not ended" in answer.json()["detail"]
        with pytest.raises(RateLimitError):
            await it.client.runs.create(None, "agent", input=person("hi"))
        assert len(await it.client.threads.search(limit=100)) == 9
        await it.client.runs.cancel(made[-1]["thread_id"], made[-1]["run_id"])
        await it.client.runs.create(None, "agent", input=person("hi"))


async def test_many_at_once_do_not_exceed_the_limit():
    async with running(_slow(maxQueued=10)) as it:
        body = {"assistant_id": "agent", "input": person("hi")}
        http = it.client.http.client
        answers = await asyncio.gather(*(http.post("/runs", json=body) for _ in range(30)))
        assert sorted(answer.status_code for answer in answers) == [200] * 9 + [429] * 21


async def test_so_many_runs_execute_at_a_time_as_the_spec_says():
    async with running(_slow(concurrency=2)) as it:
        for _ in range(4):
            await it.client.runs.create(None, "agent", input=person("hi"))
        async with asyncio.timeout(10):
            while it.agent.metrics._running._value.get() < 2:  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.01)
        assert it.agent.metrics._running._value.get() == 2


async def test_a_batch_that_is_being_added_counts_once():
    async with running(_slow(maxQueued=10)) as it, asyncio.timeout(20):
        store, last, go_on, begun = it.agent.store, asyncio.Event(), asyncio.Event(), list[Run]()
        add_run = store.add_run

        async def adding(run: Run, **named: Any) -> bool:
            begun.append(run)
            if len(begun) == 6:
                last.set()
                await go_on.wait()
            return await add_run(run, **named)

        store.add_run = adding  # type: ignore[method-assign]
        http, body = it.client.http.client, {"assistant_id": "agent", "input": person("hi")}
        batch = asyncio.create_task(http.post("/runs/batch", json=[body] * 6))
        await last.wait()
        assert (await http.post("/runs", json=body)).status_code == 200
        go_on.set()
        assert (await batch).status_code == 200
