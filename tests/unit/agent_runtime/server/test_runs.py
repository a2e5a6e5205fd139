from __future__ import annotations

import asyncio

import httpx
import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk.errors import ConflictError, UnprocessableEntityError

from fakes.agents import CHAT, ECHO, last_text, person, running

SPEC = {"models": [ECHO], "workflow": CHAT}
SLOW = {
    "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "late", "delay": "1m"}]}],
    "workflow": CHAT,
}


async def test_a_conversation_goes_on_in_its_thread():
    async with running(SPEC) as it:
        thread = await it.client.threads.create()
        await it.client.runs.wait(thread["thread_id"], "agent", input=person("one"))
        values = await it.client.runs.wait(thread["thread_id"], "agent", input=person("two"))
    assert [message["content"] for message in values["messages"]] == ["one", "You said: one", "two", "You said: two"]


async def test_the_modes_of_a_stream_come_as_their_events():
    async with running(SPEC) as it:
        thread = await it.client.threads.create()
        modes = ["values", "updates", "messages-tuple"]
        parts = [
            part
            async for part in it.client.runs.stream(thread["thread_id"], "agent", input=person("hi"), stream_mode=modes)
        ]
    names = [part.event for part in parts]
    assert names[0] == "metadata"
    assert names[-1] == "end"
    assert {"values", "updates", "messages"} <= set(names)
    pieces = [part.data[0]["content"] for part in parts if part.event == "messages"]
    assert "".join(pieces) == "You said: hi"
    assert [part.id for part in parts] == [str(number + 1) for number in range(len(parts))]


async def test_a_stream_can_be_joined_after_its_end():
    async with running(SPEC) as it:
        thread = await it.client.threads.create()
        run = await it.client.runs.create(thread["thread_id"], "agent", input=person("hi"))
        await it.client.runs.join(thread["thread_id"], run["run_id"])
        parts = [part async for part in it.client.runs.join_stream(thread["thread_id"], run["run_id"])]
        later = [
            part
            async for part in it.client.runs.join_stream(
                thread["thread_id"], run["run_id"], last_event_id=str(len(parts) - 1)
            )
        ]
    assert parts[0].event == "metadata"
    assert [part.event for part in later] == ["end"]


async def test_a_stateless_run_leaves_no_thread():
    async with running(SPEC) as it:
        values = await it.client.runs.wait(None, "agent", input=person("hi"))
        assert last_text(values) == "You said: hi"
        async with asyncio.timeout(10):
            while await it.client.threads.search():  # noqa: ASYNC110 - removed after the answer, with others
                await asyncio.sleep(0.02)


async def test_a_remote_graph_works():
    async with running(SPEC) as it:
        graph = RemoteGraph("agent", client=it.client)
        assert last_text(await graph.ainvoke(person("hi"))) == "You said: hi"
        assert "answer" in (await graph.aget_graph()).nodes


async def test_runs_of_a_thread_wait_for_each_other():
    async with running(SPEC) as it:
        thread = (await it.client.threads.create())["thread_id"]
        made = [await it.client.runs.create(thread, "agent", input=person(str(number))) for number in range(5)]
        for run in made:
            await it.client.runs.join(thread, run["run_id"])
        values = (await it.client.threads.get_state(thread))["values"]
    said = [message["content"] for message in values["messages"] if message["type"] == "human"]
    assert said == ["0", "1", "2", "3", "4"]


async def test_a_busy_thread_rejects_where_asked_to_and_can_be_cancelled():
    async with running(SLOW) as it:
        thread = (await it.client.threads.create())["thread_id"]
        run = await it.client.runs.create(thread, "agent", input=person("hi"))
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await it.client.runs.wait(thread, "agent", input=person("me too"), multitask_strategy="reject")
        assert caught.value.response.status_code == 409
        with pytest.raises(ConflictError, match="cancel it first"):
            await it.client.threads.delete(thread)
        await it.client.runs.cancel(thread, run["run_id"], wait=True)
        assert (await it.client.runs.get(thread, run["run_id"]))["status"] == "interrupted"
        await it.client.threads.delete(thread)


async def test_a_failed_run_can_be_made_again_with_its_key():
    nodes = [{"name": "a", "uses": "set", "with": {"values": {"n": "state.items[0]"}}}]
    state = {"n": {"type": "integer"}, "items": {"type": "array"}}
    async with running({"workflow": {"start": "a", "state": state, "nodes": nodes}}) as it:
        thread = (await it.client.threads.create())["thread_id"]
        key = {"idempotency-key": "k1"}
        with pytest.raises(Exception, match="can't be evaluated"):
            await it.client.runs.wait(thread, "agent", input={"items": []}, headers=key)
        assert (await it.client.runs.wait(thread, "agent", input={"items": [7]}, headers=key))["n"] == 7
        assert (await it.client.runs.wait(thread, "agent", input={"items": [8]}, headers=key))["n"] == 7


async def test_the_same_idempotency_key_joins_the_first_run():
    async with running(SPEC) as it:
        thread = (await it.client.threads.create())["thread_id"]
        key = {"idempotency-key": "k1"}
        for _ in range(2):
            await it.client.runs.wait(thread, "agent", input=person("hi"), headers=key)
        assert len(await it.client.runs.list(thread)) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": {"other": 1}}, "the workflow's state has no such field; it has `messages`"),
        ({"input": {"messages": 7}}, "takes messages"),
        ({"input": [1]}, "must be an object"),
        ({"input": {}, "multitask_strategy": "replace"}, "should be 'reject', 'enqueue', 'interrupt' or 'rollback'"),
        ({"input": {}, "webhook": "http://example.test"}, "must begin with an origin that the agent allows"),
        ({"input": {}, "after_seconds": -1}, "after_seconds"),
    ],
)
async def test_bad_input_is_refused_before_anything_runs(body, message):
    async with running(SPEC) as it:
        thread = (await it.client.threads.create())["thread_id"]
        with pytest.raises(UnprocessableEntityError, match=message):
            await it.client.runs.create(thread, "agent", **{"input": None, **body})
        assert await it.client.runs.list(thread) == []


async def test_a_failed_run_says_why():
    spec = {"workflow": {"start": "a", "nodes": [{"name": "a", "uses": "set", "with": {"values": {"messages": "7"}}}]}}
    async with running(spec) as it:
        thread = (await it.client.threads.create())["thread_id"]
        with pytest.raises(Exception, match="channel `messages` takes messages"):
            await it.client.runs.wait(thread, "agent", input=person("hi"))
        assert (await it.client.threads.get(thread))["status"] == "error"


async def test_too_large_a_body_is_refused():
    async with running(SPEC, max_body_bytes=1000) as it:
        thread = (await it.client.threads.create())["thread_id"]
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await it.client.runs.create(thread, "agent", input=person("x" * 2000))
        assert caught.value.response.status_code == 413


async def test_of_runs_that_want_to_be_alone_one_gets_in():
    async with running(SLOW) as it:
        thread = (await it.client.threads.create())["thread_id"]
        body = {"assistant_id": "agent", "input": person("hi"), "multitask_strategy": "reject"}
        http = it.client.http.client
        answers = await asyncio.gather(*(http.post(f"/threads/{thread}/runs", json=body) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200, *[409] * 7]
        assert len(await it.client.runs.list(thread)) == 1
