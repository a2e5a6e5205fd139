"""An agent whose state lies in MongoDB, driven by langgraph-sdk."""

from __future__ import annotations

import asyncio
import json
import secrets as random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from pymongo import MongoClient

from fakes.agents import CHAT, ECHO, RunningAgent, person, running
from fakes.proxy import proxy

SLOW_STEPS = {
    "state": {"messages": {"type": "messages"}, "done": {"type": "array", "reduce": "append"}},
    "start": "one",
    "nodes": [
        {"name": "one", "uses": "model", "with": {"save": "done"}, "next": "two"},
        {"name": "two", "uses": "model", "with": {"save": "done"}, "next": "three"},
        {"name": "three", "uses": "model", "with": {"save": "done"}, "next": "end"},
    ],
}
SLOW = {"name": "default", "provider": "scripted", "script": [{"reply": "step", "delay": "1s"}]}


@pytest.fixture
def database(mongodb_uri: str) -> Iterator[str]:
    name = f"test_{random.token_hex(4)}"
    yield name
    with MongoClient(mongodb_uri) as client:
        client.drop_database(name)


@pytest.fixture
def mounted(tmp_path: Path, mongodb_uri: str) -> Path:
    """The folder in which a pod finds its Secrets."""
    folder = tmp_path / "apm-mongodb"
    folder.mkdir()
    (folder / "uri").write_text(mongodb_uri)
    return tmp_path


def _spec(database: str, **parts: Any) -> dict[str, Any]:
    state = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}}
    return {"models": [ECHO], "workflow": CHAT, "state": state, **parts}


@asynccontextmanager
async def _agent(spec: dict[str, Any], mounted: Path, **options: Any) -> AsyncIterator[RunningAgent]:
    async with running(spec, secrets=mounted, lease_timeout=3.0, **options) as it:
        yield it


async def test_a_conversation_goes_on_in_another_pod(database, mounted):
    spec = _spec(database)
    async with _agent(spec, mounted) as first:
        thread = (await first.client.threads.create(metadata={"customer": "c1"}))["thread_id"]
        await first.client.runs.wait(thread, "agent", input=person("one"))
    async with _agent(spec, mounted) as second:
        values = await second.client.runs.wait(thread, "agent", input=person("two"))
        assert [m["content"] for m in values["messages"]] == ["one", "You said: one", "two", "You said: two"]
        found = await second.client.threads.search(metadata={"customer": "c1"})
        assert [one["thread_id"] for one in found] == [thread]
        assert len(await second.client.threads.get_history(thread)) == 6
        assert len(await second.client.runs.list(thread)) == 2
        await second.client.threads.delete(thread)
        assert await second.client.threads.search() == []


async def test_agents_that_share_a_database_do_not_see_each_other(database, mounted):
    spec = _spec(database)
    async with _agent(spec, mounted, name="one") as one, _agent(spec, mounted, name="two") as two:
        thread = (await one.client.threads.create())["thread_id"]
        await one.client.runs.wait(thread, "agent", input=person("secret"))
        assert await two.client.threads.search() == []
        await two.client.threads.create(thread_id=thread)
        values = await two.client.runs.wait(thread, "agent", input=person("hello"))
        assert len(values["messages"]) == 2


async def test_a_drained_pod_hands_its_run_to_another_one(database, mounted):
    spec = _spec(database, models=[SLOW], workflow=SLOW_STEPS)
    async with _agent(spec, mounted) as second:
        async with _agent(spec, mounted) as first:
            thread = (await first.client.threads.create())["thread_id"]
            run = await first.client.runs.create(thread, "agent", input=person("go"))
            await _until_running(first, thread, run["run_id"])
            first.agent.drain()
            values = await first.client.runs.join(thread, run["run_id"])
        assert values["done"] == ["step", "step", "step"]
        attempts = await second.agent.store.run(thread, run["run_id"])
        assert attempts is not None
        assert attempts.attempt == 2


async def test_the_run_of_a_dead_pod_is_taken_over(database, mounted):
    spec = _spec(database, models=[SLOW], workflow=SLOW_STEPS)
    async with _agent(spec, mounted) as second:
        async with _agent(spec, mounted) as first:
            thread = (await first.client.threads.create())["thread_id"]
            run = await first.client.runs.create(thread, "agent", input=person("go"))
            await _until_running(first, thread, run["run_id"])
            _kill(first)
            async with asyncio.timeout(30):
                values = await second.client.runs.join(thread, run["run_id"])
        assert values["done"] == ["step", "step", "step"]


async def test_two_pods_run_a_thread_one_run_at_a_time(database, mounted):
    spec = _spec(database)
    async with _agent(spec, mounted) as first, _agent(spec, mounted) as second:
        thread = (await first.client.threads.create())["thread_id"]
        both = (first, second)
        waits = [both[number % 2].client.runs.wait(thread, "agent", input=person(str(number))) for number in range(10)]
        await asyncio.gather(*waits)
        values = (await first.client.threads.get_state(thread))["values"]
    said = [message["content"] for message in values["messages"]]
    assert len(said) == 20
    # Each question is followed by its own answer: no run began before the one before it had ended.
    assert all(answer == f"You said: {question}" for question, answer in zip(said[::2], said[1::2], strict=True))


async def test_old_threads_are_removed(database, mounted):
    spec = _spec(database)
    spec["state"]["ttl"] = "1ms"
    async with _agent(spec, mounted) as it:
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(thread, "agent", input=person("one"))
        await it.agent.sweep()
        assert await it.client.threads.search() == []
        assert await it.agent.store.runs(thread, None, 10, 0) == []


async def test_a_run_goes_on_when_mongodb_was_away(database, mongodb_uri, tmp_path):
    parts = urlsplit(mongodb_uri)
    async with proxy(parts.hostname or "", parts.port or 27017) as way:
        (tmp_path / "apm-mongodb").mkdir()
        address = f"{parts.username}:{parts.password}@127.0.0.1:{way.port}"
        uri = parts._replace(netloc=address if parts.username else f"127.0.0.1:{way.port}")
        (tmp_path / "apm-mongodb" / "uri").write_text(urlunsplit(uri))
        async with _agent(_spec(database, models=[SLOW], workflow=SLOW_STEPS), tmp_path) as it:
            thread = (await it.client.threads.create())["thread_id"]
            run = await it.client.runs.create(thread, "agent", input=person("go"))
            await _until_running(it, thread, run["run_id"])
            http = it.client.http.client
            async with http.stream("GET", f"/threads/{thread}/runs/{run['run_id']}/join", timeout=60) as waiting:
                await way.cut()
                async with asyncio.timeout(20):
                    while it.agent.link.problem is None:  # noqa: ASYNC110 - polled with a deadline
                        await asyncio.sleep(0.05)
                assert (await http.get("/livez")).status_code == 200
                assert (await http.get("/readyz")).status_code == 503
                assert (await http.get(f"/threads/{thread}")).status_code == 503
                way.mend()
                values = json.loads(await waiting.aread())
            assert (await http.get("/readyz")).status_code == 200
    assert values["done"] == ["step", "step", "step"]


async def test_without_mongodb_the_pod_lives_is_not_ready_and_says_why(tmp_path):
    folder = tmp_path / "apm-mongodb"
    folder.mkdir()
    (folder / "uri").write_text("mongodb://someone:hidden@127.0.0.1:9/")
    async with running(_spec("none"), secrets=tmp_path, ready=False) as it:
        await it.agent.link.look()
        http = it.client.http.client
        assert (await http.get("/livez")).status_code == 200
        ready = await http.get("/readyz")
        assert ready.status_code == 503
        assert "ServerSelectionTimeoutError" in ready.json()["checks"]["mongodb"]["message"]
        assert "hidden" not in ready.text
        refused = await http.post("/threads", json={})
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "2"


async def _until_running(it: RunningAgent, thread: str, run_id: str) -> None:
    async with asyncio.timeout(10):
        while (await it.client.runs.get(thread, run_id))["status"] != "running":  # noqa: ASYNC110 - polled with a deadline
            await asyncio.sleep(0.02)


def _kill(it: RunningAgent) -> None:
    """Stops the pod's work as SIGKILL would: nothing is handed back, nothing is renewed."""
    worker = it.agent.runs.worker
    for loop in worker._loops:
        loop.cancel()
    for job in worker._jobs.values():
        job.cancel(None)
