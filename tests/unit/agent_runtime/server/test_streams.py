from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from fakes import steps
from fakes.agents import CHAT, ECHO, person, running

SPEC = {"models": [ECHO], "workflow": CHAT}
SLOW = {"models": [{"name": "default", "provider": "scripted", "script": [{"reply": "a b c", "delay": "1s"}]}]}


async def test_a_joiner_gets_the_modes_it_asks_for():
    async with running(SPEC) as it:
        thread = (await it.client.threads.create())["thread_id"]
        modes = ["values", "updates", "messages", "messages-tuple"]
        run = await it.client.runs.create(thread, "agent", input=person("hi"), stream_mode=modes)
        await it.client.runs.join(thread, run["run_id"])

        async def names(*asked: str) -> set[str]:
            parts = it.client.runs.join_stream(thread, run["run_id"], stream_mode=asked or None)
            return {part.event async for part in parts} - {"metadata", "end"}

        assert await names("updates") == {"updates"}
        assert await names("values", "messages-tuple") == {"values", "messages"}
        assert {name.partition("/")[0] for name in await names("messages")} == {"messages"}
        assert "messages" not in await names("messages")
        assert await names() > {"values", "updates", "messages"}


async def test_events_of_langchain_are_streamed_beside_the_others():
    async with running(SPEC) as it:
        for modes in (["events"], ["events", "updates"]):
            parts = [part async for part in it.client.runs.stream(None, "agent", input=person("hi"), stream_mode=modes)]
            kinds = {part.data["event"] for part in parts if part.event == "events"}
            assert {"on_chain_start", "on_chain_end"} < kinds
            assert {part.event for part in parts} == {"metadata", "end", *modes}
            if "updates" in modes:
                [update] = [part.data for part in parts if part.event == "updates"]
                assert update["answer"]["messages"][0]["content"] == "You said: hi"


async def test_all_modes_stream_what_langgraph_streams():
    modes: list[Any] = ["values", "updates", "custom", "tasks", "checkpoints", "debug"]
    graph = steps.graph.compile(InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}
    local = [mode async for mode, _ in graph.astream({"done": []}, config, stream_mode=modes)]
    async with running({"graph": "fakes.steps:graph"}) as it:
        thread = (await it.client.threads.create())["thread_id"]
        stream = it.client.runs.stream(thread, "agent", input={"done": []}, stream_mode=modes)
        parts = [part async for part in stream]
    assert [part.event for part in parts] == ["metadata", *local, "end"]
    assert [part.data for part in parts if part.event == "custom"] == [{"begins": name} for name in steps.NAMES]
    assert [part.data["name"] for part in parts if part.event == "tasks" and "input" in part.data] == [*steps.NAMES]
    kinds = Counter(part.data["type"] for part in parts if part.event == "debug")
    assert kinds == {"checkpoint": 5, "task": 3, "task_result": 3}


async def test_a_thread_tells_the_events_of_its_runs_as_they_come():
    async with running({**SLOW, "workflow": CHAT}) as it, asyncio.timeout(20):
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(thread, "agent", input=person("before"))
        first = await it.client.runs.create(thread, "agent", input=person("one"))
        got = []
        async for part in await it.client.threads.join_stream(thread):
            got.append(part)
            if part.event == "run_done" and len([one for one in got if one.event == "run_done"]) == 1:
                second = await it.client.runs.create(thread, "agent", input=person("two"))
            elif part.event == "run_done":
                break
        began = [part.data["run_id"] for part in got if part.event == "metadata"]
        assert began == [first["run_id"], second["run_id"]]
        assert len({(part.id, part.event == "run_done") for part in got}) == len(got)
        # From where it was cut.
        cut = next(number for number, part in enumerate(got) if part.event == "values")
        again = []
        async for part in await it.client.threads.join_stream(thread, last_event_id=got[cut].id):
            again.append((part.event, part.id))
            if len(again) == len(got) - cut - 1:
                break
        assert again == [(part.event, part.id) for part in got[cut + 1 :]]


async def test_a_thread_tells_only_that_runs_begin_and_end():
    async with running({**SLOW, "workflow": CHAT}) as it, asyncio.timeout(20):
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.create(thread, "agent", input=person("one"))
        got = []
        async for part in await it.client.threads.join_stream(thread, stream_mode="lifecycle"):
            got.append(part.event)
            if part.event == "run_done":
                break
        assert got == ["metadata", "run_done"]
        with pytest.raises(UnprocessableEntityError, match="state_update"):
            _ = [part async for part in await it.client.threads.join_stream(thread, stream_mode="everything")]
        with pytest.raises(NotFoundError):
            _ = [part async for part in await it.client.threads.join_stream("other")]


async def test_a_thread_tells_its_states_as_they_come():
    async with running(SPEC) as it, asyncio.timeout(20):
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(thread, "agent", input=person("before"))
        told = []

        async def follow(until: int, **options: str) -> None:
            stream = await it.client.threads.join_stream(thread, stream_mode="state_update", **options)
            following.set()
            async for part in stream:
                assert part.event == "state_update"
                told.append(part)
                if len(part.data["values"]["messages"]) == until:
                    return

        following = asyncio.Event()
        task = asyncio.create_task(follow(4))
        await following.wait()
        await asyncio.sleep(0.1)  # until it has seen what there is
        await it.client.runs.wait(thread, "agent", input=person("one"))
        await task
        assert "before" not in [part.data["values"]["messages"][-1]["content"] for part in told]
        assert told[-1].data == await it.client.threads.get_state(thread)
        # What comes while nobody follows is told to who comes back, once.
        await it.client.threads.update_state(thread, person("two"), as_node="answer")
        told = told[-1:]
        await follow(5, last_event_id=told[0].id)
        assert [len(part.data["values"]["messages"]) for part in told] == [4, 5]


async def test_a_run_that_begins_later_does_not_hold_up_the_stream_of_its_thread():
    async with running(SPEC) as it, asyncio.timeout(20):
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.create(thread, "agent", input=person("later"), after_seconds=3600)
        stream = await it.client.threads.join_stream(thread, stream_mode=["lifecycle", "state_update"])
        told: set[str] = set()

        async def follow() -> None:
            async for part in stream:
                told.add(part.event)
                if told == {"metadata", "run_done", "state_update"}:
                    return

        task = asyncio.create_task(follow())
        while not task.done():
            await it.client.runs.wait(thread, "agent", input=person("now"))
        await task
