from __future__ import annotations

import httpx
import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from agent_runtime.server import lists
from fakes.agents import CHAT, ECHO, person, running

SPEC = {
    "description": "Says it again",
    "models": [ECHO],
    "workflow": {**CHAT, "state": {"messages": {"type": "messages"}, "n": {"type": "integer", "default": 4}}},
}


async def test_the_assistant_is_the_agent():
    async with running(SPEC, name="parrot") as it:
        found = (await it.client.assistants.search())[0]
        assert (found["name"], found["graph_id"], found["description"]) == ("parrot", "agent", "Says it again")
        assert await it.client.assistants.get("agent") == found == await it.client.assistants.get(found["assistant_id"])
        graph = await it.client.assistants.get_graph("agent")
        assert [node["id"] for node in graph["nodes"]] == ["__start__", "answer", "__end__"]
        assert set((await it.client.assistants.get_schemas("agent"))["input_schema"]["properties"]) == {"messages", "n"}
        with pytest.raises(NotFoundError, match="this server has one, named agent"):
            await it.client.assistants.get("other")
        with pytest.raises(NotFoundError, match="there is no assistant other"):
            await it.client.runs.create((await it.client.threads.create())["thread_id"], "other")


async def test_threads_are_made_once():
    async with running(SPEC) as it:
        await it.client.threads.create(thread_id="t1", metadata={"a": 1})
        with pytest.raises(ConflictError, match="thread t1 exists"):
            await it.client.threads.create(thread_id="t1")
        again = await it.client.threads.create(thread_id="t1", if_exists="do_nothing")
        assert again["metadata"] == {"a": 1}
        with pytest.raises(UnprocessableEntityError, match="thread_id"):
            await it.client.threads.create(thread_id="a b")


async def test_threads_are_found_by_metadata_and_selected():
    async with running(SPEC) as it:
        for number in range(3):
            await it.client.threads.create(thread_id=f"t{number}", metadata={"even": number % 2 == 0})
        found = await it.client.threads.search(metadata={"even": True}, select=["thread_id"])
        assert [sorted(one.items()) for one in found] == [[("thread_id", "t2")], [("thread_id", "t0")]]
        await it.client.threads.update("t1", metadata={"even": True})
        assert len(await it.client.threads.search(metadata={"even": True}, limit=2, offset=1)) == 2
        with pytest.raises(UnprocessableEntityError, match="use no dot"):
            await it.client.threads.search(metadata={"$where": "1"})


async def test_state_can_be_read_changed_and_looked_back_at():
    async with running(SPEC) as it:
        await it.client.threads.create(thread_id="t1")
        await it.client.runs.wait("t1", "agent", input=person("one"))
        state = await it.client.threads.get_state("t1")
        assert state["values"]["n"] == 4
        assert state["next"] == []
        await it.client.threads.update_state("t1", {"n": 9})
        assert (await it.client.threads.get_state("t1"))["values"]["n"] == 9
        before = await it.client.threads.get_state("t1", checkpoint=state["checkpoint"])
        assert before["values"]["n"] == 4
        assert (await it.client.threads.get_state("t1", checkpoint_id=state["checkpoint"]["checkpoint_id"]))["values"][
            "n"
        ] == 4
        history = await it.client.threads.get_history("t1", limit=2)
        assert [one["values"]["n"] for one in history] == [9, 4]
        assert history[0]["parent_checkpoint"]["checkpoint_id"] == history[1]["checkpoint"]["checkpoint_id"]
        with pytest.raises(UnprocessableEntityError, match="no such field"):
            await it.client.threads.update_state("t1", {"m": 1})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/state/gone", None),
        ("POST", "/state/checkpoint", {"checkpoint": {"checkpoint_id": "gone"}}),
        ("POST", "/state/checkpoint", {"checkpoint": {"checkpoint_id": "gone", "checkpoint_ns": "inner"}}),
        ("POST", "/state", {"values": {"n": 1}, "checkpoint_id": "gone"}),
        ("POST", "/runs", {"assistant_id": "agent", "input": person("two"), "checkpoint_id": "gone"}),
        ("POST", "/runs/wait", {"assistant_id": "agent", "checkpoint": {"checkpoint_id": "gone"}}),
    ],
)
async def test_a_checkpoint_that_is_not_there_is_no_empty_one(method, path, body):
    async with running(SPEC) as it:
        await it.client.threads.create(thread_id="t1")
        before = await it.client.runs.wait("t1", "agent", input=person("one"))
        answer = await it.client.http.client.request(method, f"/threads/t1{path}", json=body)
        assert answer.status_code == 404
        assert "has no checkpoint gone" in answer.json()["detail"]
        assert (await it.client.threads.get_state("t1"))["values"] == before
        assert await it.client.threads.count() == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/threads/none", 404, "there is no thread none"),
        ("DELETE", "/threads/none", 404, "there is no thread none"),
        ("GET", "/threads/none/state", 404, "there is no thread none"),
        ("GET", "/threads/none/runs/r", 404, "there is no run r in thread none"),
        ("GET", "/nothing", 404, "this server has no such path"),
        ("PUT", "/threads", 405, "Method Not Allowed"),
        ("POST", "/threads", 422, "the body is no JSON"),
        ("GET", "/threads/none/runs?status=odd", 422, "the query parameter status must be one of"),
    ],
)
async def test_errors_are_problem_documents(method, path, status, detail):
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        answer = await http.request(method, path, content=b"{" if status == 422 else None)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert detail in answer.json()["detail"]


async def test_health_and_metrics():
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        await it.client.runs.wait(None, "agent", input=person("one"))
        assert (await http.get("/ok")).json() == {"ok": True}
        assert (await http.get("/livez")).json() == {"status": "live"}
        assert (await http.get("/readyz")).json() == {"status": "ready", "checks": {"memory": {"ok": True}}}
        assert (await http.get("/info")).json()["agent"] == {"name": "tested", "namespace": "tests"}
        metrics = (await http.get("/metrics")).text
        assert 'apm_agent_runs_total{status="success"} 1.0' in metrics
        assert 'apm_agent_model_calls_total{model="default",result="success"} 1.0' in metrics
        assert 'apm_agent_http_requests_total{code="200",handler="wait_run"} 1.0' in metrics
        it.agent.draining = True
        draining = await http.get("/readyz")
        assert draining.status_code == 503
        assert draining.json()["checks"]["draining"]["ok"] is False
        refused = await http.post("/runs/wait", json={"assistant_id": "agent", "input": {}})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")


async def test_metadata_does_not_grow_without_end():
    async with running(SPEC) as it:
        await it.client.threads.create(thread_id="t1")
        for name in ("a", "b", "a"):
            await it.client.threads.update("t1", metadata={name: "x" * 400_000})
        with pytest.raises(UnprocessableEntityError, match="more than 1024 KiB"):
            await it.client.threads.update("t1", metadata={"c": "x" * 400_000})
        assert {*(await it.client.threads.get("t1"))["metadata"]} == {"a", "b"}


async def test_a_long_history_comes_whole_and_in_order():
    async with running(SPEC) as it:
        await it.client.threads.create(thread_id="t1")
        for number in range(20):
            await it.client.threads.update_state("t1", {"n": number})
        history = await it.client.threads.get_history("t1", limit=18)
        assert [one["values"]["n"] for one in history] == list(range(19, 1, -1))
        assert len(await it.client.threads.get_history("t1", limit=1000)) >= 20
        later = await it.client.threads.get_history("t1", limit=12, before=history[4]["checkpoint"])
        assert [one["values"]["n"] for one in later] == list(range(14, 2, -1))


async def test_an_answer_that_a_pod_can_not_hold_is_refused(monkeypatch):
    monkeypatch.setattr(lists, "LARGEST", 1 << 20)
    async with running(SPEC) as it:
        await it.client.threads.create(thread_id="t1")
        for _ in range(4):
            await it.client.threads.update_state("t1", {"messages": [{"role": "user", "content": "x" * 200_000}]})
        assert len(await it.client.threads.get_history("t1", limit=1)) == 1
        with pytest.raises(UnprocessableEntityError, match="ask for fewer with `limit`"):
            await it.client.threads.get_history("t1", limit=10)
