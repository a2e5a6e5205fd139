"""Threads of langgraph-checkpoint-mongodb, made by it, and taken over by the command."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.mongodb import MongoDBSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from pymongo import MongoClient

from agent_runtime.auth.principal import Principal
from agent_runtime.state.checkpoints.saver import MongoSaver
from agent_runtime.state.connection import MongoConnection
from agent_runtime.state.mongodb import MongoStore
from agent_runtime.state.records import Thread, ThreadQuery
from fakes.agents import running

ROOT = Path(__file__).parents[2]
AGENT = "shop/helper"


class State(MessagesState):
    money: Any
    own: Any


@dataclass
class Mine:
    """A class that the agent's pod does not have."""

    name: str


def graph(saver: Any) -> Any:
    def answer(state: State) -> dict[str, Any]:
        said = state["messages"][-1].content
        if said == "may I?":
            return {"messages": [AIMessage(interrupt("ask"), id=secrets.token_hex(4))]}
        return {"messages": [AIMessage(f"to {said}")], "money": (Decimal("1.50"), {1: b"x"}), "own": Mine("a")}

    built = StateGraph(State)
    built.add_node("answer", answer)
    built.add_edge(START, "answer")
    return built.compile(checkpointer=saver)


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


@pytest.fixture
def client(mongodb_uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongodb_uri) as it:
        yield it


@pytest.fixture
def database(client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    yield name
    client.drop_database(name)
    client.drop_database(f"{name}_other")


@pytest.fixture
def migrate(tmp_path: Path, mongodb_uri: str, database: str) -> Any:
    """Runs the command, and gives what it told."""
    namespace, name = AGENT.split("/")
    state = {"mongodb": {"uriSecretRef": {"name": "mongodb", "key": "uri"}, "database": database}}
    node = {"name": "only", "uses": "set", "with": {"values": {"count": "1"}}}
    workflow = {"state": {"count": {"type": "integer"}}, "nodes": [node], "start": "only"}
    spec = {"auth": {"anonymous": True}, "workflow": workflow, "state": state}
    told = {"agent": {"name": name, "namespace": namespace}, "spec": spec}
    (tmp_path / "agent.json").write_text(json.dumps(told))
    (tmp_path / "mongodb").mkdir()
    (tmp_path / "mongodb/uri").write_text(mongodb_uri)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "APM_CONFIG": str(tmp_path / "agent.json"),
        "APM_SECRETS_DIR": str(tmp_path),
    }

    def run(*arguments: str, code: int = 0) -> dict[str, Any]:
        command = [sys.executable, "-m", "agent_runtime", "migrate", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if done.stdout else {"error": done.stderr}

    return run


def plain(found: Any) -> Any:
    """All that both checkpointers say of a checkpoint."""
    values = {name: value for name, value in found.checkpoint["channel_values"].items() if value is not None}
    kept = {name: value for name, value in found.checkpoint.items() if name not in {"channel_values", "pending_sends"}}
    parent = found.parent_config and found.parent_config["configurable"]["checkpoint_id"]
    return kept, values, found.metadata, parent, sorted(found.pending_writes, key=repr)


async def test_threads_of_an_older_release_go_on(client, database, migrate, mongodb_uri):
    stock = MongoDBSaver(client, database)
    old = graph(stock)
    for at in range(30):
        old.invoke({"messages": [("user", f"{at} " * 50)]}, config(f"{AGENT}/one"))
    old.invoke({"messages": [("user", "may I?")]}, config(f"{AGENT}/asked"))
    old.invoke({"messages": [("user", "hello")]}, config("shop/helper2/other"))
    expected = [plain(found) for found in stock.list(config(f"{AGENT}/one"))]

    dry = migrate("--dry-run")
    assert "checkpoint_logs" not in client[database].list_collection_names() or not client[database][
        "checkpoint_logs"
    ].count_documents({})
    counts = migrate()
    assert counts == {**dry, "dry_run": False}
    assert (counts["threads"], counts["checkpoints"], counts["present"], counts["failed"]) == (2, 92, 0, 0)
    again = migrate()
    assert (again["threads"], again["checkpoints"], again["present"]) == (0, 0, 2)

    connection = MongoConnection(lambda: mongodb_uri, database)
    saver = MongoSaver(connection, AGENT)
    assert [plain(found) async for found in saver.alist(config("one"))] == expected
    found = await graph(saver).ainvoke(Command(resume="yes"), config("asked"))
    assert [message.content for message in found["messages"]] == ["may I?", "yes"]
    assert [found async for found in saver.alist(config("other"))] == []
    found = await graph(saver).ainvoke({"messages": [("user", "more")]}, config("one"))
    assert len(found["messages"]) == 62
    assert found["own"] == Mine("a")
    await connection.close()


async def test_threads_of_another_program_get_an_owner(client, database, migrate, mongodb_uri):
    graph(MongoDBSaver(client, f"{database}_other")).invoke({"messages": [("user", "hi")]}, config("theirs"))
    client[f"{database}_other"]["checkpoints"].insert_one(
        {"thread_id": "torn", "checkpoint_ns": "", "checkpoint_id": "1", "type": "msgpack", "checkpoint": b"\xc1"}
    )
    counts = migrate("--database", f"{database}_other", "--caller", "apiKey:alice", code=1)
    assert (counts["threads"], counts["failed"]) == (1, 1)
    alice = Principal("alice", "", "apiKey")
    connection = MongoConnection(lambda: mongodb_uri, database)
    store = MongoStore(connection, AGENT)
    threads = await store.threads(ThreadQuery(owner=alice.owner))
    assert [thread.thread_id for thread in threads] == [alice.key("theirs")]
    assert isinstance(threads[0], Thread)
    found = await graph(MongoSaver(connection, AGENT)).aget_state(config(alice.key("theirs")))
    assert [message.content for message in found.values["messages"]] == ["hi", "to hi"]
    await connection.close()


async def test_an_agent_waits_until_what_an_older_release_kept_is_taken_over(client, database, migrate, mounted):
    namespace, name = AGENT.split("/")
    state = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}}
    spec = {"graph": "fakes.asking:approval", "state": state}
    graph(MongoDBSaver(client, database)).invoke({"messages": [("user", "hello")]}, config(f"{AGENT}/one"))
    lease = {"_id": f"{AGENT}/one", "thread_id": "one", "token": "t", "beat": 0}
    client[database]["leases"].insert_one(lease)
    more = {"agent": {"name": name, "namespace": namespace}}
    async with running(spec, secrets=mounted, ready=False, more=more) as it, asyncio.timeout(60):
        while "older release" not in (it.agent.link.problem or ""):  # noqa: ASYNC110 - polled with a deadline
            await asyncio.sleep(0.05)
        assert "agent_runtime migrate" in str(it.agent.link.problem)
        migrate("--dry-run")
        stop, beating = threading.Event(), client[database]["leases"]

        def beat() -> None:
            while not stop.wait(0.5):
                beating.update_one({"_id": lease["_id"]}, {"$inc": {"beat": 1}})

        pod = threading.Thread(target=beat)
        pod.start()
        try:
            told = await asyncio.to_thread(migrate, code=1)
        finally:
            stop.set()
            pod.join()
        assert "pods of an older release execute runs" in told["error"]
        assert it.agent.link.problem is not None
        await asyncio.to_thread(migrate)
        while it.agent.link.problem is not None:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.05)
        assert await it.agent.store.add_thread(Thread("one"))
        values: Any = (await it.client.threads.get_state("one"))["values"]
    assert [message["content"] for message in values["messages"]] == ["hello", "to hello"]


def test_what_can_not_be_done_is_told_in_one_line(migrate):
    told = migrate("--caller", "nobody", code=1)["error"]
    assert told.count("\n") == 1
    assert "METHOD:ACCOUNT" in told
