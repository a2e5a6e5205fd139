"""Runs are taken, followed and ended also where many things happen at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph_sdk.errors import ConflictError

from agent_runtime.runs import worker
from agent_runtime.state import fence
from agent_runtime.state.records import Lease, Run, Thread
from fakes.agents import CHAT, ECHO, last_text, person, running


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

        async def slowly(*given: Any, **named: Any) -> bool:
            begun.set()
            await go_on.wait()
            return await end_run(*given, **named)

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


async def test_a_stateless_run_keeps_its_thread_where_asked_to():
    async with running(_slow("1ms")) as it:
        await it.client.runs.wait(None, "agent", input=person("hi"), on_completion="keep")
        assert [thread["metadata"] for thread in await it.client.threads.search()] == [{}]


async def test_who_waits_for_a_run_gets_the_values_of_that_run():
    async with running({"models": [ECHO], "workflow": CHAT}) as it:
        thread = (await it.client.threads.create())["thread_id"]
        runs = [await it.client.runs.create(thread, "agent", input=person(text)) for text in ("one", "two")]
        last = await it.client.runs.join(thread, runs[1]["run_id"])
        first = await it.client.runs.join(thread, runs[0]["run_id"])
        streamed = [part async for part in it.client.runs.join_stream(thread, runs[0]["run_id"], last_event_id="-1")]
    assert last_text(last) == "You said: two"
    assert [message["content"] for message in first["messages"]] == ["one", "You said: one"]
    assert streamed[-1].event == "end"


async def test_a_run_that_was_cancelled_keeps_what_it_came_to():
    nodes = [
        {"name": "quick", "uses": "set", "with": {"values": {"n": "state.n + 1"}}, "next": "slow"},
        {"name": "slow", "uses": "model", "with": {"save": "text", "input": "'x'"}, "next": "end"},
    ]
    state = {"n": {"type": "integer"}, "text": {"type": "string"}}
    spec = {**_slow("1m"), "workflow": {"state": state, "start": "quick", "nodes": nodes}}
    async with running(spec) as it:
        thread = (await it.client.threads.create())["thread_id"]
        run = await it.client.runs.create(thread, "agent", input={"n": 1})
        async with asyncio.timeout(10):
            while (await it.client.threads.get_state(thread))["next"] != ["slow"]:  # noqa: ASYNC110 - with a deadline
                await asyncio.sleep(0.01)
        await it.client.runs.cancel(thread, run["run_id"], wait=True)
        await it.client.threads.update_state(thread, {"n": 7})
        assert (await it.client.runs.join(thread, run["run_id"]))["n"] == 2


async def test_a_thread_is_not_run_while_its_state_is_written():
    async with running({"models": [ECHO], "workflow": CHAT}) as it:
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(thread, "agent", input=person("one"))
        before = await it.client.threads.get(thread)
        graph, begun, go_on = it.agent.graph, asyncio.Event(), asyncio.Event()
        update = graph.aupdate_state

        async def slowly(*given: Any, **options: Any) -> Any:
            begun.set()
            await go_on.wait()
            return await update(*given, **options)

        graph.aupdate_state = slowly  # type: ignore[method-assign]
        writing = asyncio.create_task(it.client.threads.update_state(thread, person("between")))
        await begun.wait()
        with pytest.raises(ConflictError, match="is busy"):
            await it.client.threads.update_state(thread, person("also"))
        run = await it.client.runs.create(thread, "agent", input=person("two"))
        assert it.agent.runs.worker.job(run["run_id"]) is None
        go_on.set()
        await writing
        values = await it.client.runs.join(thread, run["run_id"])
        after = await it.client.threads.get(thread)
    assert [m["content"] for m in values["messages"]] == ["one", "You said: one", "between", "two", "You said: two"]
    assert after["updated_at"] > before["updated_at"]


async def test_a_thread_whose_state_is_written_counts_as_used():
    async with running({"models": [ECHO], "workflow": CHAT}) as it:
        thread = (await it.client.threads.create())["thread_id"]
        before = await it.client.threads.get(thread)
        await it.client.threads.update_state(thread, person("hi"))
        assert (await it.client.threads.get(thread))["updated_at"] > before["updated_at"]


async def test_runs_wait_behind_no_number_of_threads_that_others_hold(monkeypatch):
    monkeypatch.setattr(worker, "_SCANNED", 2)
    async with running({"models": [ECHO], "workflow": CHAT}) as it:
        store = it.agent.store
        request = {"body": {"assistant_id": "agent", "input": person("hi")}}
        for number in range(4):
            await store.add_thread(Thread(f"t{number}"))
            if number < 3:
                assert await store.claim(f"t{number}")
            await store.add_run(Run(f"r{number}", f"t{number}", request))
        async with asyncio.timeout(10):
            await it.client.runs.join("t3", "r3")
        assert [await store.first_active(f"t{number}") is None for number in range(4)] == [False, False, False, True]


async def test_a_pod_whose_thread_was_taken_over_ends_nothing():
    async with running(_slow("200ms")) as it:
        store, worker_ = it.agent.store, it.agent.runs.worker
        thread = (await it.client.threads.create())["thread_id"]
        run = await it.client.runs.create(thread, "agent", input=person("hi"))
        async with asyncio.timeout(10):
            while (job := worker_.job(run["run_id"])) is None:  # noqa: ASYNC110 - with a deadline
                await asyncio.sleep(0.01)
            assert await store.release(job.lease)
            lease = await store.claim(thread)
            assert lease is not None
            taken = await store.start_run(job.run, lease.epoch)
            assert taken is not None
            assert job.task is not None
            await job.task
        left = await store.run(thread, run["run_id"])
        assert left is not None
        assert (left.status, left.attempt, left.epoch) == ("running", 2, lease.epoch)
        await store.end_run(taken, "success", None)
        await store.release(lease)


async def test_a_refused_write_ends_the_execution_and_not_the_run(monkeypatch):
    async with running({"models": [ECHO], "workflow": CHAT}) as it:
        seen: list[int | None] = []
        put = it.agent.graph.checkpointer.aput

        async def refuse_once(*given: Any) -> Any:
            seen.append(fence.epoch.get())
            if len(seen) == 1:
                raise fence.refused()
            return await put(*given)

        monkeypatch.setattr(it.agent.graph.checkpointer, "aput", refuse_once)
        thread = (await it.client.threads.create())["thread_id"]
        run = await it.client.runs.create(thread, "agent", input=person("hi"))
        async with asyncio.timeout(10):
            # The lease was given up with the execution, so the run is begun again, here or elsewhere.
            values = await it.client.runs.join(thread, run["run_id"])
        kept = await it.agent.store.run(thread, run["run_id"])
        assert kept is not None
        assert (kept.status, kept.attempt) == ("success", 2)
        assert last_text(values) == "You said: hi"
        assert None not in seen
        assert len(set(seen)) == 2


async def test_a_pod_that_ends_does_not_wait_long_to_write_what_clients_left(monkeypatch):
    monkeypatch.setattr(worker, "_SETTLED", 0.05)
    begun = asyncio.Event()

    async def hang(*_: Any, **__: Any) -> Any:
        begun.set()
        await asyncio.get_running_loop().create_future()

    async with asyncio.timeout(5):
        async with running({"models": [ECHO], "workflow": CHAT}) as it:
            it.agent.store.note_end = hang  # type: ignore[method-assign]
            it.agent.runs.worker.settlement.leavings.add(Run("r", "t", {}), Lease.new("t"))
    assert begun.is_set()
