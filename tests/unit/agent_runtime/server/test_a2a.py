"""An agent as a server of A2A, driven by the official client."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetExtendedAgentCardRequest,
    GetTaskRequest,
    ListTasksRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from a2a.utils.errors import (
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from google.protobuf.json_format import MessageToDict

from fakes.a2a import CANCELED, COMPLETED, FAILED, INPUT_REQUIRED, WORKING, client, message, sent, streamed, texts
from fakes.agents import CHAT, ECHO, running
from fakes.authority import swap

SPEC = {"models": [ECHO], "workflow": CHAT, "description": "Says it again."}
SLOW = {"name": "default", "provider": "scripted", "script": [{"reply": "done", "delay": "30s"}]}
KEYS = {"alice": "alices-very-secret-key", "bob": "bobs-very-secret-key-too"}


async def test_the_card_tells_what_the_agent_is_for_and_where():
    async with running(SPEC) as it, httpx.AsyncClient() as http:
        card = await A2ACardResolver(http, it.url).get_agent_card()
    assert (card.name, card.description) == ("tested", "Says it again.")
    assert [one.url for one in card.supported_interfaces] == [f"{it.url}/a2a"] * 2
    assert [one.protocol_version for one in card.supported_interfaces] == ["1.0", "0.3"]
    assert card.capabilities.streaming
    assert not card.capabilities.push_notifications
    assert [skill.description for skill in card.skills] == ["Says it again."]
    assert not card.security_requirements, "everybody is let in"


async def test_the_card_is_for_everybody_and_what_the_workflow_does_for_callers(tmp_path):
    swap(tmp_path / "keys", KEYS)
    tool = {"name": "order", "description": "Looks an order up.", "http": {"url": "https://shop.example/orders"}}
    spec = {**SPEC, "workflow": {**CHAT, "tools": [tool]}, "auth": {"apiKeys": {"secretRef": {"name": "callers"}}}}
    async with running(spec, api_keys_dir=tmp_path / "keys") as it:
        async with httpx.AsyncClient() as http:
            card = await A2ACardResolver(http, it.url).get_agent_card()
            refused = await http.post(f"{it.url}/a2a", json={})
            evil = await http.get(f"{it.url}/.well-known/agent-card.json", headers={"host": "evil/x"})
        async with client(it.url, {"x-api-key": KEYS["alice"]}) as caller:
            extended = await caller.get_extended_agent_card(GetExtendedAgentCardRequest())
    assert card.security_schemes["apiKey"].api_key_security_scheme.name == "X-Api-Key"
    assert [list(one.schemes) for one in card.security_requirements] == [["apiKey"]]
    assert [skill.name for skill in card.skills] == ["tested"]
    assert [skill.name for skill in extended.skills] == ["tested", "order"]
    assert refused.status_code == 401
    assert evil.json()["url"].startswith("http://tested.tests.svc:")


async def test_a_message_begins_a_task_in_a_context_that_lasts():
    async with running(SPEC) as it, client(it.url, streaming=False) as caller:
        first = await sent(caller, message("one", context="c1"))
        second = await sent(caller, message("two", context="c1"))
        alone = await sent(caller, message("three"))
        values = (await it.client.threads.get_state("c1"))["values"]
        run = await it.client.runs.get("c1", first.id)
    assert (first.status.state, texts(first)) == (COMPLETED, ["You said: one"])
    assert texts(second) == ["You said: two"]
    assert (first.context_id, second.context_id) == ("c1", "c1")
    assert alone.context_id not in {"", "c1"}
    assert [said["content"] for said in values["messages"]] == ["one", "You said: one", "two", "You said: two"]
    assert run["status"] == "success"
    assert [part.text for part in first.history[0].parts] == ["one"]


async def test_the_same_message_is_taken_once():
    async with running(SPEC) as it, client(it.url, streaming=False) as caller:
        both = await asyncio.gather(*(sent(caller, message("one", identifier="m1")) for _ in range(2)))
        again = await sent(caller, message("one", identifier="m1"))
        other = await sent(caller, message("two", identifier="m1"))
        threads = await it.client.threads.search()
    assert {task.id for task in both} == {again.id}
    assert other.id != again.id, "what says something else is another message"
    assert len(threads) == 2


async def test_a_stream_brings_the_answer_in_pieces():
    async with running(SPEC) as it, client(it.url) as caller:
        got = await streamed(caller, message("one two"))
        task = await caller.get_task(GetTaskRequest(id=got[0].task.id))
        with pytest.raises(UnsupportedOperationError, match="has ended"):
            [one async for one in caller.subscribe(SubscribeToTaskRequest(id=task.id))]
    assert [one.status_update.status.state for one in got if one.HasField("status_update")] == [WORKING, COMPLETED]
    pieces = [one.artifact_update for one in got if one.HasField("artifact_update")]
    assert "".join(part.text for piece in pieces for part in piece.artifact.parts) == "You said: one two"
    assert len(pieces) >= 4
    assert [piece.append for piece in pieces] == [False] + [True] * (len(pieces) - 1)
    assert [piece.last_chunk for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert {piece.artifact.artifact_id for piece in pieces} == {task.artifacts[0].artifact_id}


async def test_what_models_say_to_the_workflow_is_not_told():
    state = {"messages": {"type": "messages"}, "topic": {"type": "string"}}
    nodes = [
        {"name": "sort", "uses": "model", "with": {"save": "topic"}, "next": "answer"},
        {"name": "answer", "uses": "model", "with": {"prompt": "About {{ state.topic }}"}},
    ]
    async with (
        running({"models": [ECHO], "workflow": {"state": state, "start": "sort", "nodes": nodes}}) as it,
        client(it.url) as caller,
    ):
        got = await streamed(caller, message("hi"))
    pieces = [one.artifact_update for one in got if one.HasField("artifact_update")]
    assert "".join(part.text for piece in pieces for part in piece.artifact.parts) == "You said: hi"


async def test_a_workflow_without_a_conversation_takes_and_gives_data():
    state = {"number": {"type": "integer"}, "double": {"type": "integer"}}
    node = {"name": "double", "uses": "set", "with": {"values": {"double": "state.number * 2"}}}
    async with (
        running({"workflow": {"state": state, "start": "double", "nodes": [node]}}) as it,
        client(it.url) as caller,
    ):
        got = await streamed(caller, message({"number": 7}))
        with pytest.raises(InvalidParamsError, match="takes data and no text; it has `double`, `number`"):
            await sent(caller, message("7"))
        with pytest.raises(InvalidParamsError, match="no field `size`"):
            await sent(caller, message({"size": 7}))
    found = [one.artifact_update.artifact for one in got if one.HasField("artifact_update")]
    assert MessageToDict(found[0].parts[0].data) == {"number": 7.0, "double": 14.0}


async def test_a_question_is_answered_by_the_next_message_of_the_task():
    async with running({"graph": "fakes.asking:build"}) as it, client(it.url, streaming=False) as caller:
        task = await sent(caller, message("Publish", context="c1"))
        assert task.status.state == INPUT_REQUIRED
        assert [part.text for part in task.status.message.parts] == ["Really Publish?"]
        answer = message("Yes", task=task.id, identifier="a1")
        with pytest.raises(InvalidParamsError, match="of the context c1"):
            await sent(caller, message("Yes", task=task.id, context="c2"))
        asked = await sent(caller, answer)
        assert (asked.id, asked.status.state) == (task.id, INPUT_REQUIRED)
        assert MessageToDict(asked.status.message.parts[0].data) == {"ask": "Who says so?"}
        same = await sent(caller, answer)
        assert same.status == asked.status, "an answer that comes again is no answer to the next question"
        done = await sent(caller, message("Bob", task=task.id))
        with pytest.raises(UnsupportedOperationError, match="takes no message now"):
            await sent(caller, message("Yes", task=task.id))
        listed = (await caller.list_tasks(ListTasksRequest())).tasks
    assert (done.id, done.status.state, texts(done)) == (task.id, COMPLETED, ["Yes, says Bob"])
    assert [part.text for said in done.history for part in said.parts] == ["Publish", "Yes", "Bob"]
    assert [(one.id, one.status.state) for one in listed] == [(task.id, COMPLETED)]


async def test_several_questions_are_answered_by_their_ids():
    async with running({"graph": "fakes.asking:two"}) as it, client(it.url) as caller:
        got = await streamed(caller, message("go"))
        status = got[-1].status_update.status
        assert status.state == INPUT_REQUIRED
        ids = {part.text: part.metadata["interrupt"] for part in status.message.parts}
        task = got[0].task.id
        with pytest.raises(InvalidParamsError, match="asks 2 things"):
            await streamed(caller, message("yes", task=task))
        got = await streamed(caller, message({ids["left"]: "L", ids["right"]: "R"}, task=task))
        done = await caller.get_task(GetTaskRequest(id=task))
    assert got[0].task.id == task
    assert sorted(texts(done)) == ["left: L", "right: R"]


async def test_a_task_is_cancelled():
    spec = {**SPEC, "models": [SLOW]}
    async with running(spec) as it, client(it.url, streaming=False, polling=True) as caller:
        task = await sent(caller, message("hi"))
        assert task.status.state not in {COMPLETED, CANCELED}
        cancelled = await caller.cancel_task(CancelTaskRequest(id=task.id))
        assert (await caller.get_task(GetTaskRequest(id=task.id))).status.state == CANCELED
        with pytest.raises(TaskNotCancelableError):
            await caller.cancel_task(CancelTaskRequest(id=task.id))
    assert cancelled.status.state == CANCELED


async def test_a_task_that_asks_is_cancelled():
    async with running({"graph": "fakes.asking:build"}) as it, client(it.url, streaming=False) as caller:
        task = await sent(caller, message("Publish"))
        cancelled = await caller.cancel_task(CancelTaskRequest(id=task.id))
        with pytest.raises(UnsupportedOperationError):
            await sent(caller, message("Yes", task=task.id))
    assert cancelled.status.state == CANCELED


async def test_a_task_that_was_cancelled_is_begun_anew_by_the_same_message():
    spec = {**SPEC, "models": [SLOW]}
    async with running(spec) as it, client(it.url, streaming=False, polling=True) as caller:
        first = await sent(caller, message("slow", identifier="m1"))
        await caller.cancel_task(CancelTaskRequest(id=first.id))
        second = await sent(caller, message("slow", identifier="m1"))
        await caller.cancel_task(CancelTaskRequest(id=second.id))
    assert second.id != first.id


async def test_a_subscriber_is_told_all_of_a_task_that_goes_on():
    slow = {"name": "default", "provider": "scripted", "script": [{"reply": "a b c", "delay": "300ms"}]}
    async with running({**SPEC, "models": [slow]}) as it, client(it.url, polling=True) as caller:
        async with client(it.url, streaming=False, polling=True) as poller:
            task = await sent(poller, message("hi"))
        got = [one async for one in caller.subscribe(SubscribeToTaskRequest(id=task.id))]
    pieces = [one.artifact_update for one in got if one.HasField("artifact_update")]
    assert "".join(part.text for piece in pieces for part in piece.artifact.parts) == "a b c"
    assert got[-1].status_update.status.state == COMPLETED


async def test_a_failure_is_told():
    failing = {"start": "a", "nodes": [{"name": "a", "uses": "set", "with": {"values": {"messages": "7"}}}]}
    async with running({"workflow": failing}) as it, client(it.url) as caller:
        got = await streamed(caller, message("hi"))
    status = got[-1].status_update.status
    assert status.state == FAILED
    assert "channel `messages`" in status.message.parts[0].text


async def test_tasks_are_listed_by_page_and_state():
    async with running(SPEC) as it, client(it.url, streaming=False) as caller:
        tasks = [await sent(caller, message(text, context="c1")) for text in ("one", "two", "three")]
        await sent(caller, message("other"))
        first = await caller.list_tasks(ListTasksRequest(context_id="c1", page_size=2, include_artifacts=True))
        second = await caller.list_tasks(
            ListTasksRequest(context_id="c1", page_size=2, page_token=first.next_page_token)
        )
        failed = await caller.list_tasks(ListTasksRequest(status=FAILED))
        with pytest.raises(InvalidParamsError, match="pageToken"):
            await caller.list_tasks(ListTasksRequest(page_token="x"))  # noqa: S106
    assert [task.id for task in (*first.tasks, *second.tasks)] == [task.id for task in tasks[::-1]]
    assert texts(first.tasks[0]) == ["You said: three"]
    assert not second.tasks[0].artifacts
    assert (first.total_size, second.next_page_token) == (3, "")
    assert list(failed.tasks) == []


async def test_a_callers_tasks_are_not_there_for_others(tmp_path):
    swap(tmp_path / "keys", KEYS)
    spec = {**SPEC, "models": [SLOW], "auth": {"apiKeys": {"secretRef": {"name": "callers"}}}}
    async with (
        running(spec, api_keys_dir=tmp_path / "keys") as it,
        client(it.url, {"x-api-key": KEYS["alice"]}, streaming=False, polling=True) as alice,
        client(it.url, {"x-api-key": KEYS["bob"]}, polling=True) as bob,
    ):
        task = await sent(alice, message("mine", context="c1", identifier="m1"))
        for attempt in (
            bob.get_task(GetTaskRequest(id=task.id)),
            bob.cancel_task(CancelTaskRequest(id=task.id)),
            anext(aiter(bob.subscribe(SubscribeToTaskRequest(id=task.id)))),
            sent(bob, message("hi", task=task.id)),
        ):
            with pytest.raises(TaskNotFoundError):
                await attempt
        assert list((await bob.list_tasks(ListTasksRequest())).tasks) == []
        assert list((await bob.list_tasks(ListTasksRequest(context_id="c1"))).tasks) == []
        same = await anext(aiter(bob.send_message(message("mine", context="c1", identifier="m1"))))
        assert same.task.id != task.id
        assert [one.id for one in (await alice.list_tasks(ListTasksRequest())).tasks] == [task.id]
        await alice.cancel_task(CancelTaskRequest(id=task.id))


async def test_what_is_not_supported_is_refused_in_the_protocols_words():
    async with running(SPEC) as it, client(it.url) as caller:
        push = TaskPushNotificationConfig(task_id="t", url="https://client.example/hook")
        with pytest.raises(PushNotificationNotSupportedError):
            await caller.create_task_push_notification_config(push)
        request = message("hi")
        request.configuration.task_push_notification_config.CopyFrom(push)
        with pytest.raises(PushNotificationNotSupportedError):
            await sent(caller, request)
        with pytest.raises(TaskNotFoundError):
            await caller.get_task(GetTaskRequest(id="nothing"))
        with pytest.raises(InvalidParamsError, match="thread id"):
            await sent(caller, message("hi", context="c/../d"))


async def test_a_client_of_version_0_3_is_served():
    async with running({"graph": "fakes.asking:build"}) as it, httpx.AsyncClient(timeout=30) as http:
        card = await A2ACardResolver(http, it.url).get_agent_card()
        del card.supported_interfaces[0]
        caller = ClientFactory(ClientConfig(httpx_client=http)).create(card)
        got = await streamed(caller, message("Publish"))
        assert got[-1].status_update.status.state == INPUT_REQUIRED
        task = await caller.get_task(GetTaskRequest(id=got[0].task.id))
        assert task.status.message.parts[0].text == "Really Publish?"
        got = await streamed(caller, message("Yes", task=task.id))
        assert MessageToDict(got[-1].status_update.status.message.parts[0].data) == {"ask": "Who says so?"}
        got = await streamed(caller, message({"by": "Bob"}, task=task.id))
        assert got[-2].artifact_update.artifact.parts[0].text == "Yes, says {'by': 'Bob'}"
        with pytest.raises(TaskNotCancelableError):
            await caller.cancel_task(CancelTaskRequest(id=task.id))
        with pytest.raises(PushNotificationNotSupportedError):
            await caller.create_task_push_notification_config(TaskPushNotificationConfig(task_id="t", url="https://x"))


async def _called(url: str, body: Any, version: str = "1.0") -> dict[str, Any]:
    async with httpx.AsyncClient() as http:
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = await http.post(f"{url}/a2a", headers={"a2a-version": version} if version else {}, **content)
    assert answer.status_code == 200
    result: dict[str, Any] = answer.json()
    return result


def _call(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


@pytest.mark.parametrize(
    ("body", "version", "code", "identifier"),
    [
        pytest.param(b"{", "1.0", -32700, None, id="no JSON"),
        pytest.param(b"[" * 100 + b"]" * 100, "1.0", -32700, None, id="too deep"),
        pytest.param([_call("GetTask", id="t")], "1.0", -32600, None, id="batch"),
        pytest.param({"id": 7, "method": "GetTask"}, "1.0", -32600, 7, id="another version of JSON-RPC"),
        pytest.param({"jsonrpc": "2.0", "id": True, "method": "GetTask"}, "1.0", -32600, None, id="id"),
        pytest.param({"jsonrpc": "2.0", "id": 7, "method": "GetTask", "params": []}, "1.0", -32602, 7, id="params"),
        pytest.param(_call("Nothing"), "1.0", -32601, 7, id="method"),
        pytest.param(_call("GetTask"), "1.0", -32602, 7, id="no id of a task"),
        pytest.param(_call("GetTask", id="t"), "1.0.3", -32001, 7, id="patch version"),
        pytest.param(_call("GetTask", id="t"), "", -32009, 7, id="no version is 0.3"),
        pytest.param(_call("GetTask", id="t"), "2.0", -32009, 7, id="a later version"),
        pytest.param(_call("tasks/get", id="t"), "", -32001, 7, id="0.3"),
        pytest.param(_call("tasks/get", id="t"), "1.0", -32603, 7, id="0.3 that says 1.0"),
        pytest.param(_call("message/send", message={"messageId": "m", "parts": [{}]}), "0.3", -32602, 7, id="part"),
    ],
)
async def test_errors_have_the_protocols_codes(body, version, code, identifier):
    async with running(SPEC) as it:
        answer = await _called(it.url, body, version)
    assert (answer["error"]["code"], answer["id"]) == (code, identifier)


async def test_a_client_that_waits_is_answered_when_no_answer_stays_open_longer():
    async with running({**SPEC, "models": [SLOW]}, follow_limit=1.0) as it:
        begun = time.monotonic()
        told = _call("SendMessage", message={"messageId": "m", "parts": [{"text": "hi"}]})
        task = (await _called(it.url, told))["result"]["task"]
        assert time.monotonic() - begun < 10
        assert task["status"]["state"] in {"TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"}
        await _called(it.url, _call("CancelTask", id=task["id"]))
