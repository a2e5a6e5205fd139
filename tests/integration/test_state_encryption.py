"""With a key, no word of a conversation stands in MongoDB."""

from __future__ import annotations

import secrets
from base64 import b64encode
from typing import Any

import httpx
import pytest
from a2a.types.a2a_pb2 import (
    AuthenticationInfo,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    TaskPushNotificationConfig,
)
from pymongo import MongoClient

from agent_runtime.events.event import Event as CloudEvent
from agent_runtime.state.interrupts import InterruptQuery
from agent_runtime.state.records import ANONYMOUS, Event, Hook, Run, now
from fakes.a2a import client, message, sent
from fakes.agents import running
from fakes.events import eventually

WORD = "tulips"
GATE = {"ask": "Buy {{ state.what }}?", "routes": {"approve": "end"}, "save": "answer"}
WORKFLOW = {
    "state": {"what": {"type": "string"}, "answer": {"type": "object"}},
    "start": "gate",
    "nodes": [{"name": "gate", "uses": "approval", "with": GATE}],
}
ASK: dict[str, Any] = {"assistant_id": "agent", "if_not_exists": "create"}


@pytest.fixture
def spec(database, mounted) -> dict[str, Any]:
    """An agent with a key."""
    (mounted / "state-key").mkdir()
    (mounted / "state-key" / "key").write_text(b64encode(secrets.token_bytes(32)).decode())
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    encryption = {"keySecretRef": {"name": "state-key", "key": "key"}}
    return {"workflow": WORKFLOW, "state": {"mongodb": mongodb, "encryption": encryption}}


def kept(uri: str, database: str) -> str:
    """All that MongoDB has of it, as text."""
    with MongoClient[dict[str, Any]](uri) as client:
        found = client[database]
        return repr({name: list(found[name].find()) for name in found.list_collection_names()})


async def test_inputs_questions_events_items_webhooks_and_errors(spec, mounted, mongodb_uri, database):
    async with running(spec, secrets=mounted) as it, httpx.AsyncClient(base_url=it.url, timeout=20) as http:
        body = {**ASK, "input": {"what": WORD}, "stream_mode": "values", "stream_resumable": True}
        told = (await http.post("/threads/t1/runs/stream", json=body)).text
        assert WORD in told
        await it.client.store.put_item(["flowers"], key="a", value={"name": WORD})
        store = it.agent.store
        run = Run("r9", "t1", {"body": {"input": WORD}})
        hook = Hook("h1", "r9", "t1", 1, "https://example.com", {"values": WORD}, now())
        await store.add_run(run)
        started = await store.start_run(run, 1 << 50)
        assert started is not None
        await store.add_events(started, [Event(1, "values", WORD.encode())])
        assert await store.end_run(started, "error", {"error": "E", "message": WORD})
        await store.add_hook(hook)
        assert WORD not in kept(mongodb_uri, database)

    async with running(spec, secrets=mounted) as it, httpx.AsyncClient(base_url=it.url, timeout=20) as http:
        threads = {
            one.thread_id for one in await it.agent.store.interrupts(InterruptQuery("approval", owner=ANONYMOUS))
        }
        assert threads == {"t1"}
        store = it.agent.store
        ended = await store.run("t1", "r9")
        assert ended is not None
        assert (ended.request, ended.error) == (run.request, {"error": "E", "message": WORD})
        assert await store.events_after(ended, 0) == [Event(1, "values", WORD.encode())]
        assert await store.due_hooks(now(), 5) == [hook]
        item = await it.client.store.get_item(["flowers"], key="a")
        assert item["value"] == {"name": WORD}
        found = await it.client.store.search_items(["flowers"], filter={"name": WORD})
        assert [one["key"] for one in found["items"]] == ["a"]


async def test_where_a2a_clients_want_to_hear_of_their_tasks(spec, mounted, mongodb_uri, database):
    spec |= {"runs": {"webhooks": {"origins": ["https://hooks.example"]}}}
    async with running(spec, secrets=mounted) as it, client(it.url, streaming=False) as caller:
        task = await sent(caller, message({"what": "roses"}))
        proof = AuthenticationInfo(scheme="Bearer", credentials=f"credentials-{WORD}")
        url = f"https://hooks.example/{WORD}"
        wanted = TaskPushNotificationConfig(task_id=task.id, id="c1", url=url, token=WORD, authentication=proof)
        for one in ("c1", "c2"):
            wanted.id = one
            await caller.create_task_push_notification_config(wanted)
        await caller.delete_task_push_notification_config(
            DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="c1")
        )
        with MongoClient[dict[str, Any]](mongodb_uri) as found:
            (run,) = found[database]["runs"].find()
        names = [name for name in run["metadata"] if "push" in name]
        assert names == ["apm_push_c2"]
        assert WORD not in repr(run)
        got = await caller.get_task_push_notification_config(GetTaskPushNotificationConfigRequest(task_id=task.id))
    assert got == wanted


async def test_what_was_kept_before_there_was_a_key_stays_readable(spec, mounted, mongodb_uri, database):
    plain = {**spec, "state": {"mongodb": spec["state"]["mongodb"]}}
    async with running(plain, secrets=mounted) as it, httpx.AsyncClient(base_url=it.url, timeout=20) as http:
        await http.post("/threads/t1/runs/wait", json={**ASK, "input": {"what": WORD}})
        await it.client.store.put_item(["flowers"], key="a", value={"name": WORD})
        assert WORD in kept(mongodb_uri, database)
    async with running(spec, secrets=mounted) as it, httpx.AsyncClient(base_url=it.url, timeout=20) as http:
        (approval,) = (await http.get("/approvals")).json()["approvals"]
        assert approval["ask"] == f"Buy {WORD}?"
        item = await it.client.store.get_item(["flowers"], key="a")
        assert item["value"] == {"name": WORD}
        answer = await http.post(f"/approvals/{approval['id']}", json={"answer": "approve"})
        values = await it.client.runs.join("t1", answer.json()["run_id"])
        assert values["answer"] == {"choice": "approve"}


async def test_events_and_who_waits_for_them(spec, mounted, mongodb_uri, database):
    paid = {"name": "paid", "uses": "wait", "with": {"type": "paid", "filter": "event.data == state.what"}}
    state = {"what": {"type": "string"}}
    subscription = {"name": "no", "type": "*", "start": {"input": {"what": "1"}}}
    flow = {"state": state, "start": "paid", "nodes": [paid]}
    spec |= {"workflow": flow, "events": {"subscribe": [subscription]}}
    async with running(spec, secrets=mounted) as it:
        assert it.agent.events is not None
        log = it.agent.events.log
        await it.client.runs.wait(None, "agent", input={"what": WORD}, on_completion="keep")
        await log.append(CloudEvent(id="1", source="s", type="other", data=WORD))
        await eventually(log.dead_letters)
        assert WORD not in kept(mongodb_uri, database)
    async with running(spec, secrets=mounted) as it:
        assert it.agent.events is not None
        log = it.agent.events.log
        (letter,) = await log.dead_letters()
        assert letter.entry.event.data == WORD
        await log.append(CloudEvent(id="2", source="s", type="paid", data=WORD))
        await eventually(lambda: it.client.threads.search(status="idle"))
        assert WORD not in kept(mongodb_uri, database)
