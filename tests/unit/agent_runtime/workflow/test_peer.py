"""Agents that ask each other by A2A."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from a2a.types.a2a_pb2 import CancelTaskRequest, GetTaskRequest, ListTasksRequest
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent_runtime.a2a.protocol import TIMEOUT_HEADER
from agent_runtime.auth.principal import Principal
from agent_runtime.spec.identity import agent_uri
from agent_runtime.state.records import CALLER, RunQuery
from agent_runtime.workflow.peer import HOPS_HEADER
from fakes.a2a import CANCELED, COMPLETED, INPUT_REQUIRED, WORKING, client, message, sent, streamed, texts
from fakes.agents import CHAT, ECHO, RunningAgent, last_text, person, running
from fakes.authority import Authority, client_context, pod
from fakes.serving import free_port, serving
from fakes.tool_server import tool_server

if TYPE_CHECKING:
    from a2a.client import Client
    from a2a.types.a2a_pb2 import Task

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ASK = {"start": "ask", "nodes": [{"name": "ask", "uses": "agent", "with": {"ref": "other"}, "next": "end"}]}
SLOW = {"name": "default", "provider": "scripted", "script": [{"reply": "done", "delay": "30s"}]}
_DEADLINE = 20.0


def _asking(**params: Any) -> dict[str, Any]:
    return {"start": "ask", "nodes": [{"name": "ask", "uses": "agent", "with": {"ref": "other", **params}}]}


async def _until(caller: Client, state: int) -> Task:
    """The only task of an agent, once it is in a state."""
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline:
        found = (await caller.list_tasks(ListTasksRequest())).tasks
        if found and found[0].status.state == state:
            return found[0]
        await asyncio.sleep(0.05)
    pytest.fail(f"no task is in the state {state}")


async def test_the_answer_comes_in_pieces_through_both_agents():
    async with (
        running({"models": [ECHO], "workflow": CHAT}, name="other") as other,
        running({"workflow": ASK}, peers={"other": other.url}) as it,
        client(it.url) as caller,
    ):
        got = await streamed(caller, message("one two"))
        task = await caller.get_task(GetTaskRequest(id=got[0].task.id))
        heard = [
            part.data
            async for part in it.client.runs.stream(None, "agent", input=person("hi"), stream_mode="custom")
            if part.event == "custom"
        ]
    pieces = [one.artifact_update for one in got if one.HasField("artifact_update")]
    assert "".join(part.text for piece in pieces for part in piece.artifact.parts) == "You said: one two"
    assert len(pieces) >= 4
    assert {piece.artifact.artifact_id for piece in pieces} == {task.artifacts[0].artifact_id}
    assert texts(task) == ["You said: one two"]
    assert "".join(piece["text"] for piece in heard) == "You said: hi"


async def test_data_is_what_an_agent_without_words_answers():
    state = {"number": {"type": "integer"}, "messages": {"type": "messages"}}
    count = {"name": "count", "uses": "set", "with": {"values": {"number": "size(state.messages)"}}}
    found = {"messages": {"type": "messages"}, "found": {"type": "any"}}
    async with (
        running({"workflow": {"state": state, "start": "count", "nodes": [count]}}, name="other") as other,
        running({"workflow": {**_asking(save="found"), "state": found}}, peers={"other": other.url}) as it,
    ):
        values = await it.client.runs.wait(None, "agent", input=person("hi"))
    assert values["found"]["number"] == 1


async def test_a_question_goes_up_and_its_answer_down():
    async with (
        running({"graph": "fakes.asking:build"}, name="last") as last,
        running({"workflow": ASK}, name="middle", peers={"other": last.url}) as middle,
        running({"workflow": ASK}, peers={"other": middle.url}) as it,
        client(it.url, streaming=False) as caller,
        client(last.url) as watcher,
    ):
        task = await sent(caller, message("Publish"))
        assert (task.status.state, task.status.message.parts[0].text) == (INPUT_REQUIRED, "Really Publish?")
        task = await sent(caller, message("Yes", task=task.id))
        assert task.status.state == INPUT_REQUIRED
        assert MessageToDict(task.status.message.parts[0].data) == {"ask": "Who says so?"}
        task = await sent(caller, message({"name": "Bob"}, task=task.id))
        there = (await watcher.list_tasks(ListTasksRequest())).tasks
        history = (await watcher.get_task(GetTaskRequest(id=there[0].id))).history
    assert (task.status.state, texts(task)) == (COMPLETED, ["Yes, says {'name': 'Bob'}"])
    assert len(there) == 1
    assert len(history) == 3, "each answer was given once"


async def test_several_questions_go_up_with_their_ids():
    async with (
        running({"graph": "fakes.asking:two"}, name="other") as other,
        running({"workflow": ASK}, peers={"other": other.url}) as it,
    ):
        thread = (await it.client.threads.create())["thread_id"]
        asked = (await it.client.runs.wait(thread, "agent", input=person("go")))["__interrupt__"][0]["value"]
        answer = {one["id"]: one["value"].upper() for one in asked}
        values = await it.client.runs.wait(thread, "agent", command={"resume": answer})
    assert last_text(values) in {"left: LEFT", "right: RIGHT"}


async def test_who_asks_its_deadline_and_its_trace_go_along_to_the_last_tool(tmp_path):
    authority = Authority()
    anna = agent_uri("tests", "anna")
    ours = pod(tmp_path / "ours", authority, "asking", callers=("tests/anna",))
    theirs = pod(tmp_path / "theirs", authority, "other", callers=("tests/asking",))
    call = {"name": "call", "uses": "tool", "with": {"tool": "look", "save": "found"}}
    async with tool_server(answer={"found": 1}) as tool:
        looks = {
            "state": {"messages": {"type": "messages"}, "found": {"type": "any"}},
            "tools": [{"name": "look", "description": "Looks.", "http": {"method": "GET", "url": f"{tool.url}/x"}}],
            "start": "call",
            "nodes": [call],
        }
        async with (
            running({"workflow": looks}, name="other", mounts=theirs) as other,
            running({"workflow": ASK}, name="asking", peers={"other": other.url}, mounts=ours) as it,
            httpx.AsyncClient(base_url=it.url, verify=client_context(authority, tmp_path, anna), timeout=30) as http,
        ):
            body = {"assistant_id": "agent", "input": person("hi"), "on_completion": "keep"}
            headers = {"traceparent": TRACE, TIMEOUT_HEADER: "20"}
            answer = await http.post("/runs/wait", json=body, headers=headers)
            asking, asked = Principal("tests/anna", "", "mtls"), Principal("tests/asking", "", "mtls")
            mine = await it.agent.store.find_runs(RunQuery(asking.owner))
            theirs_runs = await other.agent.store.find_runs(RunQuery(asked.owner))
    assert "__error__" not in answer.json(), answer.json()
    assert [run.metadata[CALLER] for run in mine] == [{"account": "tests/anna", "method": "mtls"}]
    assert [run.metadata[CALLER] for run in theirs_runs] == [{"account": "tests/asking", "method": "mtls"}]
    assert tool.calls[0].headers["traceparent"] == TRACE
    assert tool.calls[0].headers["idempotency-key"]
    assert theirs_runs[0].request["hops"] == 1
    assert theirs_runs[0].request["deadline"] == pytest.approx(mine[0].request["deadline"], abs=1)


async def test_the_others_task_ends_with_the_callers_run():
    async with (
        running({"models": [SLOW], "workflow": CHAT}, name="other") as other,
        running({"workflow": ASK}, peers={"other": other.url}) as it,
        client(other.url) as watcher,
        client(it.url, streaming=False, polling=True) as caller,
    ):
        task = await sent(caller, message("hi"))
        await _until(watcher, WORKING)
        await caller.cancel_task(CancelTaskRequest(id=task.id))
        await _until(watcher, CANCELED)


async def test_the_others_task_ends_when_the_node_takes_too_long():
    node = {**_asking()["nodes"][0], "timeout": "1s", "onError": "end"}
    async with (
        running({"models": [SLOW], "workflow": CHAT}, name="other") as other,
        running({"workflow": {"start": "ask", "nodes": [node]}}, peers={"other": other.url}) as it,
        client(other.url) as watcher,
    ):
        await it.client.runs.wait(None, "agent", input=person("hi"))
        await _until(watcher, CANCELED)


async def test_a_node_that_is_tried_again_after_its_time_begins_another_task():
    node = {**_asking()["nodes"][0], "timeout": "1s", "retry": {"attempts": 2, "initial": "10ms"}, "onError": "end"}
    async with (
        running({"models": [SLOW], "workflow": CHAT}, name="other") as other,
        running({"workflow": {"start": "ask", "nodes": [node]}}, peers={"other": other.url}) as it,
        client(other.url) as watcher,
    ):
        await it.client.runs.wait(None, "agent", input=person("hi"))
        deadline = time.monotonic() + _DEADLINE
        states: list[int] = []
        while time.monotonic() < deadline and states != [CANCELED, CANCELED]:
            states = [task.status.state for task in (await watcher.list_tasks(ListTasksRequest())).tasks]
            await asyncio.sleep(0.05)
    assert states == [CANCELED, CANCELED]


async def test_the_others_run_ends_when_nobody_waits_any_more():
    """The deadline goes along, so that the run ends also where nobody could tell the agent."""
    limited = {**ASK, "limits": {"wallClock": "1500ms"}}
    async with (
        running({"models": [SLOW], "workflow": CHAT}, name="last") as last,
        running({"workflow": ASK}, name="middle", peers={"other": last.url}) as middle,
        running({"workflow": limited}, peers={"other": middle.url}) as it,
    ):
        values: Any = await it.client.runs.wait(None, "agent", input=person("hi"), raise_error=False)
        ends = [await _ended(agent) for agent in (middle, last)]
    assert values["__error__"]["error"] == "Timeout"
    assert set(ends) <= {"timeout", "interrupted", "error"}


async def _ended(agent: RunningAgent) -> str:
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline:
        for thread in await agent.client.threads.search():
            for run in await agent.client.runs.list(thread["thread_id"]):
                if run["status"] not in {"pending", "running"}:
                    return str(run["status"])
        await asyncio.sleep(0.05)
    pytest.fail("the run goes on")


async def test_a_run_is_bound_by_what_its_caller_waits():
    async with running({"models": [SLOW], "workflow": CHAT}) as it:
        begun = time.monotonic()
        values: Any = await it.client.runs.wait(
            None, "agent", input=person("hi"), headers={TIMEOUT_HEADER: "0.5"}, raise_error=False
        )
        assert time.monotonic() - begun < 10
        with pytest.raises(Exception, match="must be a number of seconds"):
            await it.client.runs.wait(None, "agent", input=person("hi"), headers={TIMEOUT_HEADER: "-1"})
    assert values["__error__"]["message"] == "the run took longer than its caller waits"


async def test_agents_that_ask_each_other_in_a_circle_end():
    listeners = [free_port() for _ in range(2)]
    for listener, _ in listeners:
        listener.close()
    ports = [port for _, port in listeners]
    async with (
        running({"workflow": ASK}, name="one", peers={"other": f"http://127.0.0.1:{ports[1]}"}, at=ports[0]) as one,
        running({"workflow": ASK}, name="two", peers={"other": f"http://127.0.0.1:{ports[0]}"}, at=ports[1]) as two,
    ):
        values: Any = await one.client.runs.wait(None, "agent", input=person("hi"), raise_error=False)
        assert "look for a cycle between agents" in values["__error__"]["message"]
        async with asyncio.timeout(10):
            # Nine at first: the thread of the first call is removed after its answer.
            while await _threads(one, two) != 8:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.02)


async def _threads(*agents: Any) -> int:
    return sum([len(await agent.client.threads.search(limit=100)) for agent in agents])


class _Outside:
    """An agent of somebody else: without streams, and with tasks that take a while."""

    def __init__(self, answer: dict[str, Any], *, elsewhere: str = "", version: str = "1.0") -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self._answer = answer
        self._elsewhere = elsewhere
        self._version = version
        self._looks = 0

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/agents/a/.well-known/agent-card.json", self._card),
                Route("/rpc", self._rpc, methods=["POST"]),
            ]
        )

    async def _card(self, request: Request) -> Response:
        url = self._elsewhere or f"http://{request.headers['host']}/rpc"
        interface = {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": self._version}
        return JSONResponse({"name": "outside", "supportedInterfaces": [interface], "capabilities": {}})

    async def _rpc(self, request: Request) -> Response:
        body = await request.json()
        self.calls.append((body["method"], body["params"]))
        self.headers.append(dict(request.headers))
        self._looks += 1
        state = "TASK_STATE_COMPLETED" if self._looks > 2 else "TASK_STATE_WORKING"
        task = {"id": "t1", "contextId": "c", "status": {"state": state}, "artifacts": [self._answer]}
        result = {"task": task} if body["method"] == "SendMessage" else task
        return JSONResponse({"jsonrpc": "2.0", "id": body["id"], "result": result})


async def test_an_agent_outside_is_asked_by_its_card(tmp_path):
    (tmp_path / "partner").mkdir()
    (tmp_path / "partner" / "token").write_text("a-very-secret-token")
    outside = _Outside({"artifactId": "a", "parts": [{"text": "It rains. a-very-secret-token"}]})
    async with serving(outside.app) as url:
        params = {
            "url": f"{url}/agents/a",
            "bearerTokenSecretRef": {"name": "partner", "key": "token"},
        }
        workflow = {"start": "weather", "nodes": [{"name": "weather", "uses": "agent", "with": params}]}
        async with running({"workflow": workflow}, secrets=tmp_path) as it:
            values = await it.client.runs.wait(None, "agent", input=person("Weather?"))
    assert last_text(values) == "It rains. [redacted]"
    assert values["messages"][-1]["name"] == "weather"
    assert [method for method, _ in outside.calls] == ["SendMessage", "GetTask", "GetTask"]
    assert outside.calls[0][1]["message"]["parts"] == [{"text": "Weather?"}]
    assert outside.headers[0]["authorization"] == "Bearer a-very-secret-token"
    assert outside.headers[0]["a2a-version"] == "1.0"
    assert outside.headers[0][HOPS_HEADER] == "1"
    assert 0 < float(outside.headers[0][TIMEOUT_HEADER]) <= 120


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ({"elsewhere": "http://169.254.169.254/rpc"}, "leads to another host, which is not followed"),
        ({"version": "0.3"}, "does not speak A2A 1.0"),
    ],
)
async def test_a_card_that_leads_astray_is_not_followed(card, told):
    outside = _Outside({}, **card)
    async with serving(outside.app) as url:
        params = {"url": f"{url}/agents/a"}
        workflow = {"start": "weather", "nodes": [{"name": "weather", "uses": "agent", "with": params}]}
        async with running({"workflow": workflow}) as it:
            values: Any = await it.client.runs.wait(None, "agent", input=person("hi"), raise_error=False)
    assert told in values["__error__"]["message"], json.dumps(values)
    assert outside.calls == []
