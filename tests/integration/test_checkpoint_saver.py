from __future__ import annotations

import asyncio
import operator
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import Command, interrupt
from pymongo.errors import AutoReconnect

from agent_runtime.errors import FencedError, StateLostError, UnavailableError
from agent_runtime.state import fence
from agent_runtime.state.batch import Reads
from agent_runtime.state.checkpoints import tail
from agent_runtime.state.checkpoints.keys import COLLECTION
from agent_runtime.state.checkpoints.options import Options
from agent_runtime.state.checkpoints.saver import MongoSaver
from agent_runtime.state.connection import MongoConnection
from fakes.databases import database

AGENT = "shop/helper"
THREAD: Any = {"configurable": {"thread_id": "t"}}
OLD_KEY, NEW_KEY = (b64encode(secrets.token_bytes(32)).decode() for _ in range(2))


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    turns: Annotated[int, operator.add]


@pytest.fixture
async def connection(mongodb_uri: str) -> AsyncIterator[MongoConnection]:
    async with database(mongodb_uri) as it:
        yield it


def chat(saver: BaseCheckpointSaver[Any]) -> Any:
    graph = StateGraph(Chat)
    graph.add_node("look", lambda _: {"turns": 1})
    graph.add_node("answer", lambda state: {"messages": [AIMessage(f"to {state['messages'][-1].content}")]})
    graph.add_edge(START, "look")
    graph.add_edge("look", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


async def say(graph: Any, *words: str, config: Any = THREAD) -> list[str]:
    for word in words:
        found = await graph.ainvoke({"messages": [("user", word)]}, config)
    return [message.content for message in found["messages"]]


async def documents(connection: MongoConnection, **wanted: Any) -> list[dict[str, Any]]:
    return await connection.database[COLLECTION].find(wanted).to_list()


async def test_another_process_goes_on_with_a_conversation(connection):
    await say(chat(MongoSaver(connection, AGENT)), "one")
    assert await say(chat(MongoSaver(connection, AGENT)), "two") == ["one", "to one", "two", "to two"]


async def test_a_long_conversation_stands_in_small_documents(connection):
    words = [secrets.token_hex(200) for _ in range(40)]
    told = await say(chat(MongoSaver(connection, AGENT)), *words)

    assert told[::2] == words
    kept = await documents(connection)
    head = next(document for document in kept if "records" in document)
    assert sum(map(len, head["records"].values())) < 2 * tail.HEAD_BYTES
    content = sum(len(word) for word in words) * 2
    assert sum(len(document.get("data", b"")) for document in kept) < 4 * content


async def test_who_lost_the_thread_writes_nothing(connection):
    before, after = MongoSaver(connection, AGENT), MongoSaver(connection, AGENT)
    with fence.holding(1):
        await say(chat(before), "one")
        frozen = chat(before)
    with fence.holding(2):
        # Reading is what a run begins with; from there on the older epoch is out.
        await chat(after).aget_state(THREAD)
    with fence.holding(1), pytest.raises(FencedError):
        await frozen.aupdate_state(THREAD, {"turns": 5})
    with fence.holding(1), pytest.raises(FencedError):
        await MongoSaver(connection, AGENT).aget_tuple(THREAD)
    with fence.holding(2):
        assert await say(chat(after), "two") == ["one", "to one", "two", "to two"]
    assert [found.metadata["step"] async for found in after.alist(THREAD)] == [6, 5, 4, 3, 2, 1, 0, -1]


async def test_a_thread_that_is_new_is_not_read_before_it_is_written(connection, monkeypatch):
    saver = MongoSaver(connection, AGENT)
    read, get = [], Reads.get
    monkeypatch.setattr(Reads, "get", lambda reads, name: read.append(name) or get(reads, name))
    with fence.holding(1, new=True):
        assert await say(chat(saver), "one") == ["one", "to one"]
    assert read == []
    assert await say(chat(MongoSaver(connection, AGENT)), "two") == ["one", "to one", "two", "to two"]


async def test_what_stands_in_a_thread_that_counted_as_new_is_not_lost(connection):
    await say(chat(MongoSaver(connection, AGENT)), "one")
    with fence.holding(1, new=True):
        await chat(MongoSaver(connection, AGENT)).aupdate_state(THREAD, {"turns": 5})
    told = await say(chat(MongoSaver(connection, AGENT)), "two")
    assert told == ["two", "to two"]
    assert [found.metadata["step"] async for found in MongoSaver(connection, AGENT).alist(THREAD)][-4:] == [2, 1, 0, -1]


async def test_writing_to_a_thread_that_was_deleted_is_refused(connection):
    one, other = MongoSaver(connection, AGENT), MongoSaver(connection, AGENT)
    with fence.holding(1):
        await say(chat(one), "one")
    await other.adelete_thread("t")
    with fence.holding(1), pytest.raises(FencedError):
        await one.aput(THREAD, empty_checkpoint(), {"step": 9}, {})
    assert await documents(connection) == []


async def test_two_who_hold_no_epoch_lose_nothing_of_each_other(connection):
    one, other = MongoSaver(connection, AGENT), MongoSaver(connection, AGENT)
    for at in range(3):
        for saver in (one, other):
            await saver.aput(THREAD, {**empty_checkpoint(), "id": f"{at}"}, {"step": at}, {})
    await asyncio.gather(*(saver.aput(THREAD, empty_checkpoint(), {"step": 7}, {}) for saver in (one, other)))
    assert len([found async for found in one.alist(THREAD)]) == 5


async def test_what_a_process_wrote_before_it_died_is_not_seen_before_the_checkpoint(connection, monkeypatch):
    saver = MongoSaver(connection, AGENT)
    monkeypatch.setattr(tail, "HEAD_BYTES", 100)
    monkeypatch.setattr(tail, "INLINE", 100)
    await say(chat(saver), "one", "two")
    before = [found.checkpoint async for found in saver.alist(THREAD)]

    async def die(_change: Any) -> bool:
        raise UnavailableError("cut off")

    monkeypatch.setattr(saver._site.changes, "apply", die)
    large = {**empty_checkpoint(), "channel_values": {"text": "x" * 5000}, "channel_versions": {"text": 1}}
    with pytest.raises(UnavailableError):
        await saver.aput(THREAD, large, {"step": 9}, {"text": 1})

    assert any("blob" in document for document in await documents(connection))
    other = MongoSaver(connection, AGENT)
    assert [found.checkpoint async for found in other.alist(THREAD)] == before
    assert await say(chat(other), "three") == ["one", "to one", "two", "to two", "three", "to three"]


async def test_a_change_whose_answer_was_lost_is_not_made_twice(connection, monkeypatch):
    saver = MongoSaver(connection, AGENT)
    await say(chat(saver), "one")
    apply = saver._site.changes.apply

    async def deaf(change: Any) -> bool:
        await apply(change)
        return False

    monkeypatch.setattr(saver._site.changes, "apply", deaf)
    await say(chat(saver), "two")
    assert [found.metadata["step"] async for found in saver.alist(THREAD)] == [6, 5, 4, 3, 2, 1, 0, -1]


async def test_a_value_of_40_megabytes_is_kept(connection):
    class State(TypedDict):
        text: str
        seen: int

    value = secrets.token_hex(20 << 20)
    graph = StateGraph(State)
    graph.add_node("make", lambda _: {"text": value})
    graph.add_node("look", lambda state: {"seen": len(state["text"])})
    graph.add_edge(START, "make")
    graph.add_edge("make", "look")
    await graph.compile(checkpointer=MongoSaver(connection, AGENT)).ainvoke({"seen": 0}, THREAD)

    found = await graph.compile(checkpointer=MongoSaver(connection, AGENT)).aget_state(THREAD)
    assert found.values == {"text": value, "seen": 40 << 20}
    names = connection.database[COLLECTION].find({}, {"blob": 1})
    # The node's write, the channel and the later checkpoints share one.
    assert len({document["blob"] async for document in names if "blob" in document}) == 1


async def test_agents_and_namespaces_with_similar_names_are_apart(connection):
    savers = [MongoSaver(connection, agent) for agent in ("shop/help", "shop/helper")]
    threads = ["t", "t|0|", "t/1", "t%7C", "~t"]
    configs: list[Any] = [
        {"configurable": {"thread_id": thread, "checkpoint_ns": namespace}}
        for thread in threads
        for namespace in ("", "a", "a|b", "a|00000000ff", "1|")
    ]
    for saver in savers:
        for at, config in enumerate(configs):
            await saver.aput(config, empty_checkpoint(), {"step": at}, {})
    for at, config in enumerate(configs):
        assert [found.metadata["step"] async for found in savers[0].alist(config)] == [at]
    for thread in threads:
        await savers[0].adelete_thread(thread)
    assert [found async for found in savers[0].alist(None)] == []
    assert len([found async for found in savers[1].alist(None)]) == len(configs)


async def test_the_order_of_writing_counts_and_not_the_clocks(connection):
    saver = MongoSaver(connection, AGENT)
    for name in ("1f1e5800-0000-6000-8000-000000000000", "1f1e5700-0000-6000-8000-000000000000"):
        await saver.aput(THREAD, {**empty_checkpoint(), "id": name}, {"step": 0}, {})
    assert (await MongoSaver(connection, AGENT).aget_tuple(THREAD)).checkpoint["id"] == name


class Delta(TypedDict):
    items: Annotated[list[str], DeltaChannel(lambda old, new: [*old, *(item for part in new for item in part)])]


def growing(saver: BaseCheckpointSaver[Any]) -> Any:
    graph = StateGraph(Delta)
    graph.add_node("add", lambda state: {"items": [str(len(state["items"]))]})
    graph.add_edge(START, "add")
    return graph.compile(checkpointer=saver)


@pytest.mark.parametrize("keep", [1, 5])
async def test_old_checkpoints_go_and_lists_made_of_changes_stay_whole(connection, monkeypatch, keep):
    monkeypatch.setattr(tail, "HEAD_BYTES", 1000)
    saver = MongoSaver(connection, AGENT, Options(keep=keep))
    words = [f"{at} {secrets.token_hex(30)}" for at in range(40)]
    told = await say(chat(saver), *words)
    assert told[::2] == words
    other = MongoSaver(connection, AGENT)
    assert keep <= len([found async for found in other.alist(THREAD)]) <= 2 * keep + 18
    assert (await say(chat(other), "more"))[:-2] == told
    async for found in other.alist(THREAD):
        contents = [message.content for message in found.checkpoint["channel_values"].get("messages", [])]
        assert contents == [*told, "more", "to more"][: len(contents)]


async def test_channels_that_are_made_of_earlier_writes_survive_pruning(connection):
    saver = MongoSaver(connection, AGENT)
    for at in range(6):
        await growing(saver).ainvoke({"items": [f"in {at}"]}, THREAD)
    before = (await growing(saver).aget_state(THREAD)).values
    await saver.aprune(["t"])
    other = MongoSaver(connection, AGENT)
    assert len([found async for found in other.alist(THREAD)]) == 1
    assert (await growing(other).aget_state(THREAD)).values == before
    await growing(other).ainvoke({"items": ["more"]}, THREAD)
    await other.acopy_thread("t", "copy")
    copy = await growing(MongoSaver(connection, AGENT)).aget_state({"configurable": {"thread_id": "copy"}})
    assert copy.values["items"][: len(before["items"])] == before["items"]
    assert copy.values["items"][-2:] == ["more", str(len(before["items"]) + 1)]


async def test_subgraphs_go_with_the_checkpoints_that_ran_them(connection):
    inner = StateGraph(Chat)
    inner.add_node("within", lambda _: {"turns": 1})
    inner.add_edge(START, "within")
    outer = StateGraph(Chat)
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "inner")
    graph = outer.compile(checkpointer=MongoSaver(connection, AGENT, Options(keep=2)))
    for at in range(20):
        await graph.ainvoke({"messages": [("user", str(at))]}, THREAD)
    kept = await documents(connection, namespace={"$gt": ""}, records={"$exists": True})
    assert 1 <= len(kept) < 15


async def test_an_interrupted_graph_goes_on_elsewhere(connection):
    def ask(state: Chat) -> dict[str, Any]:
        return {"messages": [AIMessage(interrupt({"said": state["messages"][-1].content}))]}

    graph = StateGraph(Chat)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    first = graph.compile(checkpointer=MongoSaver(connection, AGENT))
    await first.ainvoke({"messages": [("user", "may I?")]}, THREAD)
    second = graph.compile(checkpointer=MongoSaver(connection, AGENT))
    assert (await second.aget_state(THREAD)).interrupts[0].value == {"said": "may I?"}
    found = await second.ainvoke(Command(resume="yes"), THREAD)
    assert [message.content for message in found["messages"]] == ["may I?", "yes"]


def encrypted(connection: MongoConnection, *keys: str) -> MongoSaver:
    return MongoSaver(connection, AGENT, Options(keys=lambda: "\n".join(keys)))


async def test_nothing_of_a_conversation_is_readable_where_it_is_encrypted(connection):
    saver = encrypted(connection, OLD_KEY)
    await saver.start()
    secret = "tulips " * 4000
    await say(chat(saver), secret, "daffodils")
    raw = repr(await documents(connection))
    assert "tulips" not in raw
    assert "daffodils" not in raw
    again = encrypted(connection, OLD_KEY)
    await again.start()
    assert await say(chat(again), "more") == [secret, f"to {secret}", "daffodils", "to daffodils", "more", "to more"]


async def test_a_key_can_be_followed_by_another_one(connection):
    saver = encrypted(connection, OLD_KEY)
    await saver.start()
    await say(chat(saver), "one")
    both = encrypted(connection, NEW_KEY, OLD_KEY)
    await both.start()
    assert await say(chat(both), "two") == ["one", "to one", "two", "to two"]


@pytest.mark.parametrize("keys", [(NEW_KEY,), None])
async def test_without_the_key_the_agent_says_so_and_changes_nothing(connection, keys):
    saver = encrypted(connection, OLD_KEY)
    await saver.start()
    await say(chat(saver), "one")
    before = await documents(connection)
    other = encrypted(connection, *keys) if keys else MongoSaver(connection, AGENT)
    with pytest.raises(UnavailableError, match="encrypt"):
        await other.start()
    with pytest.raises(UnavailableError, match="encrypt"):
        await chat(other).ainvoke({"messages": [("user", "two")]}, THREAD)
    assert await documents(connection) == before


@pytest.mark.parametrize(
    "text",
    ["", "short", b64encode(b"x" * 16).decode(), f"{OLD_KEY}\nno base 64!"],
    ids=["empty", "short", "half", "second"],
)
async def test_what_is_no_key_is_refused(connection, text):
    with pytest.raises(UnavailableError, match="32 random bytes"):
        await MongoSaver(connection, AGENT, Options(keys=lambda: text)).start()


async def test_checkpoints_of_others_can_not_be_put_in_place_of_ones_own(connection):
    saver = encrypted(connection, OLD_KEY)
    await saver.start()
    for thread in ("t", "u"):
        await say(chat(saver), f"words of {thread}", config={"configurable": {"thread_id": thread}})
    kept = {document["thread"]: document for document in await documents(connection, thread={"$in": ["t", "u"]})}
    await connection.database[COLLECTION].update_one(
        {"_id": kept["t"]["_id"]}, {"$set": {"records": kept["u"]["records"]}}
    )
    again = encrypted(connection, OLD_KEY)
    await again.start()
    with pytest.raises(StateLostError, match="changed or moved"):
        await again.aget_tuple(THREAD)


async def test_a_lost_connection_lets_the_run_go_on_later(connection, monkeypatch):
    saver = MongoSaver(connection, AGENT)
    await say(chat(saver), "one")
    collection = saver._collection()

    class Away:
        async def bulk_write(self, *_args: Any, **_options: Any) -> None:
            raise AutoReconnect("away")

        def __getattr__(self, name: str) -> Any:
            return getattr(collection, name)

    monkeypatch.setattr(saver._site.changes, "_collection", Away)
    with pytest.raises(UnavailableError, match="AutoReconnect"):
        await say(chat(saver), "two")
    monkeypatch.undo()
    assert (await say(chat(saver), "three"))[-2:] == ["three", "to three"]


async def test_graphs_in_other_threads_use_the_same_checkpointer(connection):
    saver = MongoSaver(connection, AGENT)
    await saver.start()
    graph = chat(saver)

    def run() -> Sequence[Any]:
        graph.invoke({"messages": [("user", "one")]}, THREAD)
        with fence.holding(3):
            graph.update_state(THREAD, {"turns": 4})
        return list(graph.get_state_history(THREAD))

    assert [found.values.get("turns", 0) for found in await asyncio.to_thread(run)] == [5, 1, 1, 0, 0]
    with fence.holding(2), pytest.raises(FencedError):
        await saver.aget_tuple(THREAD)
    with pytest.raises(RuntimeError, match="asynchronous"):
        graph.get_state(THREAD)
