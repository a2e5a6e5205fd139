"""A key that is gone from the Secret hides what was encrypted with it, and nothing else."""

from __future__ import annotations

import secrets
from base64 import b64encode
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langgraph_sdk.errors import APIStatusError
from pymongo import MongoClient

from agent_runtime.errors import UnreadableError
from agent_runtime.events.event import Event
from agent_runtime.events.wait import Wait
from agent_runtime.items.owned import OwnedItems
from agent_runtime.state.records import ANONYMOUS, Hook, Run, Thread, now
from fakes.agents import running
from fakes.events import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fakes.agents import RunningAgent

GATE = {
    "ask": "Buy {{ state.what }}?",
    "routes": {"approve": "end"},
    "expire": "1h",
    "onExpire": {"to": "end"},
}
SPEC: dict[str, Any] = {
    "workflow": {
        "state": {"what": {"type": "string"}},
        "start": "gate",
        "nodes": [{"name": "gate", "uses": "approval", "with": GATE}],
    },
    "events": {"subscribe": [{"name": "no", "type": "*", "start": {"input": {"what": "1"}}}]},
}
ASK: dict[str, Any] = {"assistant_id": "agent", "if_not_exists": "create"}


def key() -> str:
    return b64encode(secrets.token_bytes(32)).decode()


@pytest.fixture
def keys(mounted: Path) -> Path:
    """The file of the keys."""
    (mounted / "state-key").mkdir()
    return mounted / "state-key" / "key"


@pytest.fixture
def spec(database: str) -> dict[str, Any]:
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    encryption = {"keySecretRef": {"name": "state-key", "key": "key"}}
    return {**SPEC, "state": {"mongodb": mongodb, "encryption": encryption}}


async def fill(it: RunningAgent, name: str) -> None:
    """Leaves one of each."""
    assert it.agent.events is not None
    async with httpx.AsyncClient(base_url=it.url, timeout=20) as http:
        asked = await http.post(f"/threads/{name}/runs/wait", json={**ASK, "input": {"what": name}})
        assert "__interrupt__" in asked.json()
    await it.agent.store.add_thread(Thread("shared"))
    body = {"multitask_strategy": "enqueue", "input": {"what": name}}
    await it.agent.store.add_run(Run(f"r-{name}", "shared", {"body": body}, status="success"))
    await it.client.store.put_item(["notes"], key=name, value={"what": name})
    log, waits = it.agent.events.log, it.agent.events.waits.storage
    before = len(await log.dead_letters())
    await log.append(Event(id=name, source="s", type="t", data=name))
    await eventually(lambda: _more(log, before))
    await waits.begin(Wait(f"{name}/k", name, name, name, "paid", bound={"what": name}))
    due = now() - timedelta(hours=1 if name == "lost" else 0)
    hook = Hook(f"h-{name}", "r", name, 1, "https://hooks.example", {"values": name}, due)
    await it.agent.store.add_hook(hook)


async def _more(log: Any, before: int) -> bool:
    return len(await log.dead_letters()) > before


@pytest.fixture
async def poor(spec, keys, mounted, mongodb_uri, database) -> AsyncIterator[RunningAgent]:
    """An agent that has what was kept as `old` and as `lost`, and the key of the first one alone."""
    old, lost = key(), key()
    for text, name in ((old, "old"), (f"{lost}\n{old}", "lost")):
        keys.write_text(text)
        async with running(spec, secrets=mounted) as it:
            await fill(it, name)
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        for name, seconds in (("lost", 60), ("old", 30)):
            due = {"$set": {"due": now() - timedelta(seconds=seconds)}}
            assert client[database]["interrupts"].update_one({"thread_id": name}, due).matched_count
    keys.write_text(old)
    async with running(spec, secrets=mounted) as it:
        yield it


async def test_all_else_is_listed_and_ends_in_time(poor):
    async with httpx.AsyncClient(base_url=poor.url, timeout=20) as http:

        async def ended() -> Any:
            return (await http.get("/approvals?status=expired")).json()["approvals"]

        (expired,) = await eventually(ended)
        assert expired["ask"] == "Buy old?"
        (sealed,) = (await http.get("/approvals")).json()["approvals"]
        assert (sealed["thread_id"], sealed["status"], sealed["node"]) == ("lost", "open", "gate")
        assert "a key that is not there" in sealed["unreadable"]
        answer = await http.post(f"/approvals/{sealed['id']}", json={"answer": "approve"})
        assert answer.status_code == 503
        assert "a key that is not there" in answer.json()["detail"]

        letters = (await http.get("/events/dead-letters")).json()["dead_letters"]
        found = {("event" in letter, "unreadable" in letter) for letter in letters}
        assert found == {(True, False), (False, True)}
        (letter,) = (one for one in letters if "unreadable" in one)
        assert (await http.post(f"/events/dead-letters/{letter['id']}/replay")).status_code == 503
        assert (await http.delete(f"/events/dead-letters/{letter['id']}")).status_code == 204


async def test_items_and_runs_of_others_are_listed(poor):
    found = (await poor.client.store.search_items(["notes"]))["items"]
    assert [(item["key"], item["value"], "unreadable" in item) for item in found] == [
        ("lost", {}, True),
        ("old", {"what": "old"}, False),
    ]
    assert (await poor.client.store.list_namespaces())["namespaces"] == [["notes"]]
    graph = OwnedItems(poor.agent.items, lambda: ANONYMOUS)
    assert [item.key for item in await graph.asearch(("notes",))] == ["old"]
    lost, old = await poor.client.runs.list("shared")
    assert "a key that is not there" in lost["unreadable"]
    assert (lost["run_id"], lost["status"], lost["multitask_strategy"]) == ("r-lost", "success", None)
    assert (old["multitask_strategy"], "unreadable" in old) == ("enqueue", False)
    threads = {one["thread_id"]: one for one in await poor.client.threads.search()}
    assert "a key that is not there" in threads["lost"]["unreadable"]
    assert threads["old"]["values"] == {"what": "old"}
    with pytest.raises(APIStatusError, match="a key that is not there"):
        await poor.client.runs.get("shared", lost["run_id"])


async def test_webhooks_and_waits_of_others_go_on(poor):
    store = poor.agent.store
    assert await store.due_hooks(now(), 1) == [], "the first one can't be read, and makes room"
    assert [hook.hook_id for hook in await store.due_hooks(now(), 1)] == ["h-old"]
    waits = poor.agent.events.waits.storage
    found = await waits.waiting(Event(id="1", source="s", type="paid"), ["paid"])
    assert [wait.thread_id for wait in found] == ["old"]


async def test_an_event_waits_for_its_key_and_those_before_it_do_not(poor, mongodb_uri, database):
    storage = poor.agent.events.log._storage
    plain = '{"specversion": "1.0", "id": "1", "source": "s", "type": "t"}'
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        sealed = client[database]["dead_letters"].find_one()
        assert sealed is not None
        kept = {"pending": ["x"], "lane": "l", **{name: sealed[name] for name in ("agent", "owner", "accepted_at")}}
        for position, text in enumerate((plain, sealed["event"])):
            client[database]["events"].insert_one({"_id": str(position), "position": position, "event": text, **kept})
        (first,) = await storage.pending("x", "l", 5)
        assert first.event.id == "1"
        client[database]["events"].delete_one({"_id": "0"})
        with pytest.raises(UnreadableError):
            await storage.pending("x", "l", 5)
