"""A run's input is kept together with the checkpoint that follows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import END, START, StateGraph

from agent_runtime.errors import FencedError, UnavailableError
from agent_runtime.state import fence
from agent_runtime.state.batch import Changes
from agent_runtime.state.checkpoints.keys import COLLECTION
from agent_runtime.state.checkpoints.saver import MongoSaver
from agent_runtime.state.connection import MongoConnection
from fakes.databases import database

AGENT = "shop/helper"
THREAD: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}


@pytest.fixture
async def connection(mongodb_uri: str) -> AsyncIterator[MongoConnection]:
    async with database(mongodb_uri) as it:
        yield it


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The changes that are made."""
    changes, apply = list[Any](), Changes.apply
    monkeypatch.setattr(Changes, "apply", lambda self, change: changes.append(change) or apply(self, change))
    return changes


async def put(saver: MongoSaver, source: str, config: Any = THREAD) -> Any:
    step: Any = {"source": source, "step": -1 if source == "input" else 0}
    return await saver.aput(config, empty_checkpoint(), step, {})


async def sources(connection: MongoConnection) -> list[str]:
    return [found.metadata["source"] async for found in MongoSaver(connection, AGENT).alist(THREAD)]


async def test_a_run_of_two_nodes_takes_three_changes(connection, sent):
    graph = StateGraph(dict[str, int])
    for name in ("one", "two"):
        graph.add_node(name, lambda state: state)
    graph.add_edge(START, "one")
    graph.add_edge("one", "two")
    graph.add_edge("two", END)
    with fence.holding(1, new=True):
        await graph.compile(checkpointer=MongoSaver(connection, AGENT)).ainvoke({"n": 1}, THREAD)
    assert len(sent) == 3
    assert await sources(connection) == ["loop", "loop", "loop", "input"]


async def test_outside_of_runs_it_is_kept_at_once(connection):
    await put(MongoSaver(connection, AGENT), "input")
    assert await sources(connection) == ["input"]


async def test_who_reads_sees_it(connection):
    saver = MongoSaver(connection, AGENT)
    with fence.holding(1):
        await put(saver, "input")
        found = await saver.aget_tuple(THREAD)
    assert found is not None
    assert found.metadata["source"] == "input"
    assert await sources(connection) == ["input"]


async def test_lists_have_it(connection):
    saver = MongoSaver(connection, AGENT)
    with fence.holding(1):
        await put(saver, "input")
    assert [found.metadata["source"] async for found in saver.alist({"configurable": {"thread_id": "t"}})] == ["input"]


@pytest.mark.parametrize("seen", [False, True])
async def test_where_it_is_refused_the_next_one_is(connection, seen):
    frozen, other = MongoSaver(connection, AGENT), MongoSaver(connection, AGENT)
    with fence.holding(1):
        await put(frozen, "loop")
    with fence.holding(2):
        await other.aget_tuple(THREAD)
    with fence.holding(1):
        after = await put(frozen, "input")
        if seen:
            await frozen.journal("t").settle()
        with pytest.raises(FencedError):
            await put(frozen, "loop", after)
    assert await sources(connection) == ["loop"]
    with fence.holding(3):
        await put(frozen, "loop", await put(frozen, "input"))
    assert await sources(connection) == ["loop", "input", "loop"]


async def test_who_takes_the_thread_then_is_not_told_that_it_was_refused(connection):
    frozen, other = MongoSaver(connection, AGENT), MongoSaver(connection, AGENT)
    with fence.holding(1):
        await put(frozen, "loop")
    with fence.holding(2):
        await other.aget_tuple(THREAD)
    with fence.holding(1):
        await put(frozen, "input")
        await frozen.journal("t").settle()
    with fence.holding(3):
        await put(frozen, "loop")
    assert await sources(connection) == ["loop", "loop"]


async def test_where_it_is_not_kept_the_next_one_is_not_either(connection, monkeypatch):
    apply, begun, goes_on = Changes.apply, asyncio.Event(), asyncio.Event()

    async def failing(changes: Changes, change: Any) -> bool | None:
        if begun.is_set():
            return await apply(changes, change)
        begun.set()
        await goes_on.wait()
        raise UnavailableError("no primary")

    monkeypatch.setattr(Changes, "apply", failing)
    saver = MongoSaver(connection, AGENT)
    with fence.holding(1):
        after = await put(saver, "input")
        await begun.wait()
        following = asyncio.create_task(put(saver, "loop", after))
        await asyncio.sleep(0)  # now it waits for the one before
        goes_on.set()
        with pytest.raises(UnavailableError):
            await following
    assert await sources(connection) == []


async def test_it_goes_with_its_thread(connection):
    saver = MongoSaver(connection, AGENT)
    journal = saver.journal("t")
    with fence.holding(1):
        await put(saver, "input")
    await saver.adelete_thread("t")
    await journal.settle()
    assert await connection.database[COLLECTION].find().to_list() == []


async def test_it_goes_with_its_run(connection):
    saver = MongoSaver(connection, AGENT)
    with fence.holding(1):
        await put(saver, "input", {**THREAD, "metadata": {"run_id": "r"}})
    await saver.adelete_for_runs(["r"])
    await saver.journal("t").settle()
    assert await sources(connection) == []
