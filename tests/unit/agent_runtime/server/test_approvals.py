"""Approvals: asked by a workflow, answered by their own API, by langgraph-sdk and by A2A."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from agent_runtime.runs.deadlines import Deadlines
from fakes.a2a import COMPLETED, INPUT_REQUIRED, client, message, sent
from fakes.agents import running
from fakes.authority import swap

KEYS = {"alice": "alices-very-secret-key", "bob": "bobs-very-secret-key-too"}
SCHEMA = {
    "properties": {"amount": {"type": "integer", "minimum": 1}},
    "required": ["amount"],
    "additionalProperties": False,
}
STATE = {"topic": {"type": "string"}, "answer": {"type": "object"}, "done": {"type": "string"}}
GATE: dict[str, Any] = {
    "name": "gate",
    "uses": "approval",
    "with": {"ask": "Publish {{ state.topic }}?", "routes": {"approve": "publish", "reject": "end"}, "save": "answer"},
}
PUBLISH = {"name": "publish", "uses": "set", "with": {"values": {"done": "'published'"}}}
SPEC: dict[str, Any] = {"workflow": {"state": STATE, "start": "gate", "nodes": [GATE, PUBLISH]}}
TOPIC = {"topic": "news"}


def asking(**more: Any) -> dict[str, Any]:
    """The spec, with more parameters of its approval."""
    gate = {**GATE, "with": {**GATE["with"], **more}}
    return {"workflow": {**SPEC["workflow"], "nodes": [gate, PUBLISH]}}


async def _asked(http: httpx.AsyncClient, thread: str) -> dict[str, Any]:
    """Runs up to the question, which is told."""
    body = {"assistant_id": "agent", "input": TOPIC, "if_not_exists": "create"}
    answer = await http.post(f"/threads/{thread}/runs/wait", json=body)
    assert "__interrupt__" in answer.json(), answer.text
    found = (await http.get("/approvals")).json()["approvals"]
    return next(one for one in found if one["thread_id"] == thread)


async def _answered(http: httpx.AsyncClient, approval: dict[str, Any], answer: Any) -> dict[str, Any]:
    """The values that the run ends with that goes on with an answer."""
    accepted = await http.post(f"/approvals/{approval['id']}", json={"answer": answer})
    assert accepted.status_code == 202, accepted.text
    run = accepted.json()
    values: dict[str, Any] = (await http.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}/join")).json()
    return values


async def test_an_answer_goes_where_its_choice_leads():
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        first, second = await _asked(http, "t1"), await _asked(http, "t2")
        assert first["ask"] == "Publish news?"
        assert first["node"] == "gate"
        assert first["choices"] == ["approve", "reject"]
        assert [one["id"] for one in (await http.get("/approvals")).json()["approvals"]] == [first["id"], second["id"]]
        approved = await _answered(http, first, "approve")
        rejected = await _answered(http, second, {"choice": "reject"})
        assert (await http.get("/approvals")).json() == {"approvals": [], "next": None}
    assert (approved["done"], approved["answer"]) == ("published", {"choice": "approve"})
    assert rejected["answer"] == {"choice": "reject"}
    assert "done" not in rejected


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("maybe", "choice"),
        ("approve", "'amount' is a required property"),
        ({"amount": 3}, "'choice' is a required property"),
        ({"choice": "approve", "amount": 0}, "amount: 0 is less than the minimum of 1"),
        ({"choice": "approve", "amount": 3, "more": 1}, "'more'"),
        (None, "is not of type 'object'"),
        ({"choice": "approve", "amount": 3, "type": "expired", "expires_at": "x"}, "nobody answered"),
    ],
)
async def test_an_answer_that_does_not_fit_is_refused_and_leaves_the_question_open(answer, told):
    async with running(asking(schema=SCHEMA)) as it, httpx.AsyncClient(base_url=it.url) as http:
        approval = await _asked(http, "t1")
        refused = await http.post(f"/approvals/{approval['id']}", json={"answer": answer})
        assert refused.status_code == 422
        assert told in refused.json()["detail"]
        values = await _answered(http, approval, {"choice": "approve", "amount": 3})
    assert values["answer"] == {"choice": "approve", "amount": 3}


async def test_a_second_answer_is_refused_and_a_repeated_request_is_not():
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        approval = await _asked(http, "t1")
        path = f"/approvals/{approval['id']}"
        both = await asyncio.gather(*(http.post(path, json={"answer": "approve"}) for _ in range(5)))
        assert sorted(one.status_code for one in both) == [202, 409, 409, 409, 409]
        assert (await http.post(path, json={"answer": "reject"})).status_code == 409
        other = await _asked(http, "t2")
        again = {"url": f"/approvals/{other['id']}", "json": {"answer": "approve"}, "headers": {"idempotency-key": "k"}}
        runs = [(await http.post(**again)).json()["run_id"] for _ in range(2)]
    assert runs[0] == runs[1]


async def test_an_answer_that_was_cancelled_can_be_given_again():
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        approval = await _asked(http, "t1")
        store = it.agent.runs.store
        lease = await store.claim("t1")
        path = f"/approvals/{approval['id']}"
        run = (await http.post(path, json={"answer": "reject"})).json()
        assert (await http.post(path, json={"answer": "approve"})).status_code == 409
        await http.post(f"/threads/t1/runs/{run['run_id']}/cancel", params={"wait": "1"})
        await store.release(lease)
        values = await _answered(http, approval, "approve")
    assert values["done"] == "published"


async def test_unknown_approvals_and_bodies_without_an_answer():
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        approval = await _asked(http, "t1")
        assert (await http.post("/approvals/none", json={"answer": "approve"})).status_code == 404
        assert (await http.post("/approvals/t9:1", json={"answer": "approve"})).status_code == 404
        assert (await http.post("/approvals/t1:1", json={"answer": "approve"})).status_code == 409
        assert (await http.post(f"/approvals/{approval['id']}", json={})).status_code == 422


async def test_one_caller_sees_and_answers_nothing_of_another(tmp_path):
    swap(tmp_path / "keys", KEYS)
    spec = {**SPEC, "auth": {"anonymous": True, "apiKeys": {"secretRef": {"name": "callers"}}}}
    async with running(spec, api_keys_dir=tmp_path / "keys") as it:
        http = {
            name: httpx.AsyncClient(base_url=it.url, headers={"x-api-key": KEYS[name]} if name in KEYS else {})
            for name in ("alice", "bob", "nobody")
        }
        approval = await _asked(http["alice"], "t1")
        assert approval["id"].startswith("t1:")
        for name in ("bob", "nobody"):
            assert (await http[name].get("/approvals")).json()["approvals"] == []
            refused = await http[name].post(f"/approvals/{approval['id']}", json={"answer": "approve"})
            assert refused.status_code == 404
        assert (await _answered(http["alice"], approval, "approve"))["done"] == "published"
        for one in http.values():
            await one.aclose()


async def test_pages_of_many():
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        for number in range(5):
            await _asked(http, f"t{number}")
        first = (await http.get("/approvals", params={"limit": 3})).json()
        rest = (await http.get("/approvals", params={"limit": 3, "offset": first["next"]})).json()
    assert [one["thread_id"] for one in first["approvals"] + rest["approvals"]] == [f"t{number}" for number in range(5)]
    assert rest["next"] is None


async def test_langgraph_sdk_resumes_and_is_asked_again_where_the_answer_does_not_fit():
    async with running(asking(schema=SCHEMA)) as it, httpx.AsyncClient(base_url=it.url) as http:
        await _asked(http, "t1")
        again = await it.client.runs.wait("t1", "agent", command={"resume": {"choice": "approve", "amount": 0}})
        asked = again["__interrupt__"][0]["value"]
        assert asked["problem"] == "amount: 0 is less than the minimum of 1"
        (approval,) = (await http.get("/approvals")).json()["approvals"]
        assert approval["problem"] == asked["problem"]
        values = await it.client.runs.wait("t1", "agent", command={"resume": {"choice": "approve", "amount": 2}})
    assert (values["done"], values["answer"]["amount"]) == ("published", 2)


async def test_a2a_asks_for_input_and_takes_the_choice():
    async with running(SPEC) as it, client(it.url, streaming=False) as caller:
        asked = await sent(caller, message(TOPIC))
        assert asked.status.state == INPUT_REQUIRED
        again = await sent(caller, message("maybe", task=asked.id))
        assert again.status.state == INPUT_REQUIRED
        done = await sent(caller, message("approve", task=asked.id))
    assert done.status.state == COMPLETED


async def test_approvals_of_parallel_branches_and_sub_workflows():
    left = {"name": "left", "uses": "approval", "with": {"ask": "Left?", "routes": {"approve": "end"}}}
    nodes = [{"name": "inner", "uses": "workflow", "with": {"ref": "sub"}}, left]
    spec = {
        "workflow": {"state": STATE, "start": ["inner", "left"], "nodes": nodes},
        "workflows": [{"name": "sub", "start": "gate", "state": STATE, "nodes": [GATE, PUBLISH]}],
    }
    async with running(spec) as it, httpx.AsyncClient(base_url=it.url) as http:
        await _asked(http, "t1")
        found = {one["node"]: one for one in (await http.get("/approvals")).json()["approvals"]}
        assert found.keys() == {"gate", "left"}
        await _answered(http, found["left"], "approve")
        (inner,) = (await http.get("/approvals")).json()["approvals"]
        assert inner["node"] == "gate"
        assert (await http.post(f"/approvals/{found['left']['id']}", json={"answer": "approve"})).status_code == 409
        values = await _answered(http, inner, "approve")
    assert values["done"] == "published"


async def test_an_approval_of_an_agent_that_is_asked_is_answered_at_the_one_that_asks():
    desk = {
        "state": {"messages": {"type": "messages"}, "done": {"type": "string"}},
        "start": "gate",
        "nodes": [{**GATE, "with": {"ask": "Really?", "routes": {"approve": "publish", "reject": "end"}}}, PUBLISH],
    }
    asks = {
        "state": {"topic": {"type": "string"}, "answer": {"type": "any"}},
        "start": "ask",
        "nodes": [
            {"name": "ask", "uses": "agent", "with": {"ref": "desk", "input": "state.topic", "save": "answer"}},
        ],
    }
    async with (
        running({"workflow": desk}, name="desk") as other,
        running({"workflow": asks}, peers={"desk": other.url}) as it,
        httpx.AsyncClient(base_url=it.url) as http,
    ):
        approval = await _asked(http, "t1")
        assert (approval["ask"], approval["choices"]) == ("Really?", ["approve", "reject"])
        assert (await http.post(f"/approvals/{approval['id']}", json={"answer": "maybe"})).status_code == 422
        values = await _answered(http, approval, "approve")
    assert values["answer"]["done"] == "published"


async def test_a_graph_of_ones_own_asks_the_same_way():
    async with running({"graph": "fakes.asking:approval"}) as it, httpx.AsyncClient(base_url=it.url) as http:
        body = {"assistant_id": "agent", "input": {"messages": []}, "if_not_exists": "create"}
        await http.post("/threads/t1/runs/wait", json=body)
        (approval,) = (await http.get("/approvals")).json()["approvals"]
        refused = await http.post(f"/approvals/{approval['id']}", json={"answer": "maybe"})
        assert refused.json()["detail"] == "answer: choice: must be one of yes, no"
        values = await _answered(http, approval, "yes")
    assert values["messages"][-1]["content"] == "{'choice': 'yes'}"


async def _settled(http: httpx.AsyncClient, approval: dict[str, Any], status: str) -> dict[str, Any]:
    """The approval once it has ended so."""
    async with asyncio.timeout(10):
        while True:
            told: dict[str, Any] = (await http.get(f"/approvals/{approval['id']}")).json()
            if told["status"] == status:
                return told
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("late", "answer", "done"),
    [
        ({"answer": {"choice": "approve"}}, {"choice": "approve"}, "published"),
        ({"to": "publish"}, {"expired": True}, "published"),
        ({"to": "end"}, {"expired": True}, None),
        ({"to": "end", "answer": {"choice": "approve"}}, {"choice": "approve"}, None),
    ],
)
async def test_nobody_answers_and_the_workflow_goes_on_as_it_says(late, answer, done):
    async with running(asking(expire="1s", onExpire=late)) as it, httpx.AsyncClient(base_url=it.url) as http:
        approval = await _asked(http, "t1")
        assert approval["expires_at"] > approval["since"]
        ended = await _settled(http, approval, "expired")
        assert ended["ended"] >= approval["expires_at"][:19]
        refused = await http.post(f"/approvals/{approval['id']}", json={"answer": "approve"})
        assert refused.status_code == 409
        assert "nobody answered in time" in refused.json()["detail"]
        values = (await it.client.threads.get_state("t1"))["values"]
    assert (values["answer"], values.get("done")) == (answer, done)


async def test_nobody_answers_and_the_node_fails():
    async with running(asking(expire="500ms")) as it, httpx.AsyncClient(base_url=it.url) as http:
        approval = await _asked(http, "t1")
        await _settled(http, approval, "expired")
        (run, _) = await it.client.runs.list("t1")
        assert run["status"] == "error"
        failure = (await http.get(f"/threads/t1/runs/{run['run_id']}/join")).json()["__error__"]
    assert failure["error"] == "Expired"
    assert "nobody answered approval `gate` by 2" in failure["message"]


async def test_asking_again_gives_no_more_time():
    async with running(asking(expire="1h")) as it, httpx.AsyncClient(base_url=it.url) as http:
        approval = await _asked(http, "t1")
        await it.client.runs.wait("t1", "agent", command={"resume": "maybe"})
        (again,) = (await http.get("/approvals")).json()["approvals"]
    assert "problem" in again
    assert again["expires_at"] == approval["expires_at"]


async def test_an_approver_sees_the_question_answers_it_and_learns_nothing_else(tmp_path):
    swap(tmp_path / "keys", {**KEYS, "carol": "carols-very-secret-key"})
    spec = {
        **asking(approvers={"apiKeys": ["bob"]}),
        "auth": {"anonymous": True, "apiKeys": {"secretRef": {"name": "callers"}}},
    }
    async with running(spec, api_keys_dir=tmp_path / "keys") as it:
        keys = {**KEYS, "carol": "carols-very-secret-key"}
        http = {
            name: httpx.AsyncClient(base_url=it.url, headers={"x-api-key": keys[name]} if name in keys else {})
            for name in ("alice", "bob", "carol", "nobody")
        }
        own = await _asked(http["alice"], "secret-thread")
        (seen,) = (await http["bob"].get("/approvals")).json()["approvals"]
        assert seen["ask"] == "Publish news?"
        assert "secret-thread" not in str(seen)
        assert "alice" not in str(seen)
        assert seen.keys() == {"id", "status", "node", "ask", "choices", "schema", "since"}
        for name in ("carol", "nobody"):
            assert (await http[name].get("/approvals")).json()["approvals"] == []
            for one in (seen["id"], own["id"]):
                assert (await http[name].get(f"/approvals/{one}")).status_code == 404
                answer = await http[name].post(f"/approvals/{one}", json={"answer": "approve"})
                assert answer.status_code == 404
        assert (await http["bob"].get("/threads/secret-thread/state")).status_code == 404
        assert (await http["bob"].get("/approvals", params={"of": "mine"})).json()["approvals"] == []
        assert (await http["bob"].post(f"/approvals/{seen['id']}", json={"answer": "no"})).status_code == 422
        accepted = await http["bob"].post(f"/approvals/{seen['id']}", json={"answer": "approve"})
        assert accepted.status_code == 202
        assert "secret-thread" not in accepted.text + str(accepted.headers)
        assert accepted.json()["status"] == "answered"
        await _settled(http["alice"], own, "answered")
        (run, _) = (await http["alice"].get("/threads/secret-thread/runs")).json()
        assert run["metadata"]["apm_answered_by"] == {"account": "bob", "method": "apiKey"}
        refused = await http["bob"].post(f"/approvals/{seen['id']}", json={"answer": "approve"})
        assert (refused.status_code, "it was answered" in refused.json()["detail"]) == (409, True)
        (old,) = (await http["bob"].get("/approvals", params={"status": "answered"})).json()["approvals"]
        assert old["id"] == seen["id"]
        for one in http.values():
            await one.aclose()


@pytest.mark.parametrize("past", ["update", "input"])
async def test_an_approval_that_its_thread_goes_past_is_closed(past):
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        approval = await _asked(http, "t1")
        if past == "update":
            await it.client.threads.update_state("t1", {"topic": "other"}, as_node="publish")
        else:
            await it.client.runs.wait("t1", "agent", input={"topic": "other"})
        told = (await http.get(f"/approvals/{approval['id']}")).json()
        found = (await http.get("/approvals")).json()["approvals"]
        refused = await http.post(f"/approvals/{approval['id']}", json={"answer": "approve"})
    assert told["status"] == "closed", told
    assert [one["ask"] for one in found] == (["Publish other?"] if past == "input" else [])
    assert refused.status_code == 409
    assert "has gone on without an answer" in refused.json()["detail"]


async def test_goto_goes_nowhere_before_the_answer():
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        approval = await _asked(http, "t1")
        values = await it.client.runs.wait("t1", "agent", command={"goto": "publish"})
        assert "done" not in values
        (found,) = (await http.get("/approvals")).json()["approvals"]
        assert found == approval
        values = await _answered(http, found, "reject")
    assert values["done"] == "published", "as LangGraph does, goto adds to where the answer leads"


async def test_filters():
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        first, second = await _asked(http, "t1"), await _asked(http, "t2")
        await _answered(http, first, "approve")

        async def listed(**params: str) -> list[str]:
            return [one["id"] for one in (await http.get("/approvals", params=params)).json()["approvals"]]

        assert await listed(status="answered") == [first["id"]]
        assert await listed(thread_id="t2", node="gate", of="mine") == [second["id"]]
        assert await listed(node="other") == await listed(thread_id="t1") == await listed(of="others") == []
        assert (await http.get("/approvals", params={"status": "new"})).status_code == 422
        assert (await http.get("/approvals", params={"of": "bob"})).status_code == 422


async def test_metrics_tell_of_open_and_ended_approvals():
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        first, _ = await _asked(http, "t1"), await _asked(http, "t2")
        await _answered(http, first, "approve")
        deadlines = next(part for part in it.agent._parts if isinstance(part, Deadlines))
        await deadlines.measure()
        told = (await http.get("/metrics")).text
    assert "apm_agent_approvals_open 1.0" in told
    assert 'apm_agent_approvals_ended_total{status="answered"} 1.0' in told
    assert float(told.split("apm_agent_approvals_oldest_seconds ")[-1].split()[0]) > 0
