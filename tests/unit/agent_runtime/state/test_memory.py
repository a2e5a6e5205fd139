"""What an agent without `state` keeps is bounded, and what is in use stays."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from langgraph_sdk.errors import InternalServerError

from agent_runtime.state.memory import MemoryStore
from agent_runtime.state.records import Thread
from agent_runtime.state.room import Room
from fakes.agents import CHAT, ECHO, RunningAgent, last_text, person, running

ECHOING = {"models": [ECHO], "workflow": CHAT}
COUNTING = {
    "state": {"n": {"type": "integer"}, "text": {"type": "string"}},
    "start": "a",
    "limits": {"steps": 300},
    "nodes": [
        {
            "name": "a",
            "uses": "set",
            "with": {"values": {"n": "state.n + 1", "text": "state.text"}},
            "next": {"switch": [{"when": "state.n < 200", "to": "a"}], "else": "end"},
        }
    ],
}
SLOW = {"name": "default", "provider": "scripted", "script": [{"reply": "late", "delay": "1m"}]}


async def _threads(it: RunningAgent) -> set[str]:
    return {thread["thread_id"] for thread in await it.client.threads.search(limit=1000)}


def _size(it: RunningAgent) -> int:
    store: Any = it.agent.store
    return int(store._saver.size + store._records)


async def test_the_threads_that_were_not_used_for_longest_go_first():
    async with running(ECHOING, memory_threads=3) as it:
        for name in ("a", "b", "c"):
            await it.client.threads.create(thread_id=name)
        await it.client.runs.wait("a", "agent", input=person("one"))
        await it.client.threads.create(thread_id="d")
        await it.client.threads.create(thread_id="e")
        assert await _threads(it) == {"a", "d", "e"}
        assert last_text(await it.client.runs.wait("a", "agent", input=person("two"))) == "You said: two"


async def test_many_large_conversations_take_no_more_than_their_room():
    async with running(ECHOING, memory_bytes=1 << 20) as it:
        for number in range(30):
            thread = (await it.client.threads.create(metadata={"about": "m" * 5000}))["thread_id"]
            await it.client.runs.wait(thread, "agent", input=person(f"{number}" + "x" * 10_000))
            assert _size(it) <= 1 << 20
        kept = await _threads(it)
        assert thread in kept
        assert 2 < len(kept) < 30
        assert len((await it.client.threads.get_state(thread))["values"]["messages"]) == 2
        await it.client.threads.delete(thread)
        for other in kept - {thread}:
            await it.client.threads.delete(other)
    assert _size(it) == 0


async def test_one_conversation_forgets_where_it_came_from_and_goes_on():
    async with running({"workflow": COUNTING}, memory_bytes=1 << 20) as it:
        thread = (await it.client.threads.create())["thread_id"]
        values = await it.client.runs.wait(thread, "agent", input={"n": 0, "text": "x" * 20_000})
        assert values["n"] == 200
        assert _size(it) <= 1 << 20
        values = await it.client.runs.wait(thread, "agent", input={"n": 190})
        assert (values["n"], len(values["text"])) == (200, 20_000)
        assert len(await it.client.threads.get_history(thread, limit=1000)) < 200


async def test_what_is_in_use_stays_and_what_would_not_fit_is_refused():
    async with running({"models": [SLOW], "workflow": CHAT}, memory_threads=2) as it:
        for name in ("a", "b"):
            await it.client.threads.create(thread_id=name)
            await it.client.runs.create(name, "agent", input=person("hi"))
        with pytest.raises(InternalServerError, match=r"all are in use, .*; keep them in MongoDB"):
            await it.client.threads.create(thread_id="c")
        assert await _threads(it) == {"a", "b"}


async def test_a_run_that_grows_beyond_the_room_fails():
    async with running({"workflow": COUNTING}, memory_bytes=100_000) as it:
        values = await it.client.runs.wait(
            None, "agent", input={"n": 0, "text": "x" * 60_000}, raise_error=False, on_completion="keep"
        )
        assert values["__error__"]["error"] == "WorkflowError"
        assert "no room for more conversations" in values["__error__"]["message"]


async def test_who_asks_for_a_result_that_was_forgotten_is_told():
    async with running(ECHOING, memory_bytes=100_000) as it:
        thread = (await it.client.threads.create())["thread_id"]
        run = await it.client.runs.create(thread, "agent", input=person("x" * 10_000))
        await it.client.runs.join(thread, run["run_id"])
        for _ in range(4):
            await it.client.runs.wait(None, "agent", input=person("y" * 10_000), on_completion="keep")
        answer = await it.client.http.client.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    assert answer.status_code == 404


async def test_what_json_says_in_few_bytes_counts_as_much_as_it_takes():
    store, room = MemoryStore(Room(size=8 << 20)), 8 << 20
    tracemalloc.start()
    try:
        for number in range(30):
            lists = json.loads("[" + ",".join(["[]"] * 50_000) + "]")
            await store.add_thread(Thread(f"t{number}", metadata={"lists": lists}))
            del lists
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert room / 4 < kept < room * 1.25
