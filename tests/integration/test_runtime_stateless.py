"""Threads of stateless runs: gone with who waited, or as any other thread where nobody did."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent_runtime.runs import leavings
from agent_runtime.state.mongodb import MongoStore
from agent_runtime.state.records import Thread, ThreadQuery
from fakes.agents import CHAT, RunningAgent, last_text, person, running

SLOW = {"name": "default", "provider": "scripted", "script": [{"reply": "done", "delay": "500ms"}]}


def _spec(database: str) -> dict[str, Any]:
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    return {"models": [SLOW], "workflow": CHAT, "state": {"mongodb": mongodb}}


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that were written to at the end of a run."""
    threads, note_end = list[str](), MongoStore.note_end

    async def noting(store: MongoStore, ended: Any, **named: Any) -> Any:
        threads.append(ended.thread_id)
        return await note_end(store, ended, **named)

    monkeypatch.setattr(MongoStore, "note_end", noting)
    return threads


async def _leave(it: RunningAgent) -> tuple[str, str]:
    """Asks for a run, and goes away before it ends; its thread and its id."""
    body = {"assistant_id": "agent", "input": person("hi"), "on_disconnect": "continue"}
    async with it.client.http.client.stream("POST", "/runs/wait", json=body) as answer:
        _, _, thread, _, run = answer.headers["content-location"].split("/")
    return thread, run


async def _ended(it: RunningAgent, thread: str, run: str) -> None:
    while (await it.client.runs.get(thread, run))["status"] != "success":  # noqa: ASYNC110 - with a deadline
        await asyncio.sleep(0.01)


async def _idle(it: RunningAgent) -> list[Thread]:
    """The agent's threads, when none is held."""
    while await it.agent.store.leases():  # noqa: ASYNC110 - with a deadline
        await asyncio.sleep(0.01)
    return await it.agent.store.threads(ThreadQuery())


async def test_nothing_is_written_to_a_thread_that_is_about_to_go(database, mounted, noted):
    async with running(_spec(database), secrets=mounted) as it, asyncio.timeout(20):
        assert last_text(await it.client.runs.wait(None, "agent", input=person("hi"))) == "done"
        streamed = [part.event async for part in it.client.runs.stream(None, "agent", input=person("hi"))]
        assert streamed[-1] == "end"
        assert await _idle(it) == []
    assert noted == []


async def test_the_thread_of_a_client_that_left_can_be_used(database, mounted, noted):
    async with running(_spec(database), secrets=mounted) as it, asyncio.timeout(20):
        thread, run = await _leave(it)
        await _ended(it, thread, run)
        assert [found.status for found in await _idle(it)] == ["idle"]
        assert noted == [thread]
        assert last_text(await it.client.runs.wait(thread, "agent", input=person("again"))) == "done"


async def test_a_run_that_came_after_the_one_of_a_client_that_left_is_executed(database, mounted):
    async with running(_spec(database), secrets=mounted) as it, asyncio.timeout(20):
        thread, _ = await _leave(it)
        assert last_text(await it.client.runs.wait(thread, "agent", input=person("again"))) == "done"


async def test_a_pod_that_ends_frees_the_thread_of_a_client_that_left(database, mounted, monkeypatch):
    monkeypatch.setattr(leavings, "_PATIENCE", 60)
    async with running(_spec(database), secrets=mounted) as it, asyncio.timeout(20):
        thread, run = await _leave(it)
        await _ended(it, thread, run)
        assert len(await it.agent.store.leases()) == 1
    async with running(_spec(database), secrets=mounted) as it, asyncio.timeout(20):
        assert await it.agent.store.leases() == []
        assert [found.status for found in await _idle(it)] == ["idle"]
