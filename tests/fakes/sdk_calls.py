"""Each method of langgraph-sdk and of RemoteGraph, called as a client would, on an agent of one node `answer`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import LangGraphClient

from fakes.agents import person

HELLO: Any = person("Hello")


@dataclass(frozen=True)
class Caller:
    """A client, and a thread of its own with one run that has ended."""

    client: LangGraphClient
    url: str
    thread: str
    run: str

    @classmethod
    async def at(cls, client: LangGraphClient, url: str) -> Caller:
        thread = (await client.threads.create())["thread_id"]
        run = (await client.runs.create(thread, "agent", input=HELLO))["run_id"]
        await client.runs.join(thread, run)
        return cls(client, url, thread, run)

    @property
    def graph(self) -> RemoteGraph:
        return RemoteGraph("agent", client=self.client)

    @property
    def config(self) -> Any:
        return {"configurable": {"thread_id": self.thread}}

    async def checkpoint(self) -> str:
        state = await self.client.threads.get_state(self.thread)
        return str(state["checkpoint"]["checkpoint_id"])

    async def late(self) -> str:
        """A run that has not begun."""
        made = await self.client.runs.create(self.thread, "agent", input=HELLO, after_seconds=3600)
        return made["run_id"]

    async def cron(self) -> str:
        made: Any = await self.client.crons.create("agent", schedule="0 0 1 1 *", input=HELLO)
        return str(made["cron_id"])

    async def item(self) -> None:
        await self.client.store.put_item(("notes",), key="one", value={"text": "x"})


async def _all(parts: AsyncIterator[Any]) -> list[Any]:
    found = [part async for part in parts]
    assert found
    return found


async def _threads_join_stream(it: Caller) -> None:
    await it.late()
    seen = []
    async with asyncio.timeout(20):
        async for part in await it.client.threads.join_stream(
            it.thread, stream_mode=["run_modes", "state_update"], last_event_id="state_update:"
        ):
            seen.append(part.event)
            if seen == ["state_update"]:
                await it.client.runs.create(it.thread, "agent", input=HELLO)
            if "run_done" in seen and seen.count("state_update") > 1:
                return


async def _threads_stream(it: Caller) -> None:
    async with it.client.threads.stream(it.thread, assistant_id="agent") as session:
        await session.run.start(input=HELLO)


async def _threads_update_state(it: Caller) -> None:
    before = await it.checkpoint()
    await it.client.threads.update_state(it.thread, {"messages": [{"role": "user", "content": "x"}]}, as_node="answer")
    assert await it.checkpoint() != before


async def _assistants_get_subgraphs(it: Caller) -> None:
    assert await it.client.assistants.get_subgraphs("agent", recurse=True) == {}
    assert await it.client.assistants.get_subgraphs("agent", namespace="answer") == {}


async def _runs_delete(it: Caller) -> None:
    await it.client.runs.delete(it.thread, it.run)
    assert await it.client.runs.list(it.thread) == []


async def _runs_stream(it: Caller) -> None:
    parts = await _all(it.client.runs.stream(it.thread, "agent", input=HELLO, stream_mode=["values", "messages-tuple"]))
    assert {part.event for part in parts} >= {"metadata", "values", "messages"}


async def _crons_create_for_thread(it: Caller) -> None:
    made: Any = await it.client.crons.create_for_thread(it.thread, "agent", schedule="0 0 1 1 *", input=HELLO)
    assert made["thread_id"] == it.thread


async def _store_get_item(it: Caller) -> None:
    await it.item()
    found = await it.client.store.get_item(("notes",), "one")
    assert found["value"] == {"text": "x"}


async def _store_search_items(it: Caller) -> None:
    await it.item()
    found = await it.client.store.search_items(("notes",), filter={"text": "x"})
    assert len(found["items"]) == 1


async def _store_list_namespaces(it: Caller) -> None:
    await it.item()
    assert (await it.client.store.list_namespaces())["namespaces"] == [["notes"]]


async def _remote_update_state(it: Caller) -> None:
    before = await it.checkpoint()
    await it.graph.aupdate_state(it.config, {"messages": []}, as_node="answer")
    assert await it.checkpoint() != before


async def _remote_stream_events(it: Caller) -> None:
    async with await it.graph.astream_events(HELLO, it.config, version="v3") as session:
        await session.output


def _stream_events(graph: RemoteGraph, config: Any) -> Any:
    with graph.stream_events(HELLO, config, version="v3") as session:
        return list(session)


def _sync(work: Callable[[RemoteGraph, Any], Any]) -> Callable[[Caller], Awaitable[Any]]:
    async def call(it: Caller) -> Any:
        def called() -> Any:
            with get_sync_client(url=it.url) as client:
                return work(RemoteGraph("agent", sync_client=client), it.config)

        return await asyncio.to_thread(called)

    return call


Call = Callable[[Caller], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "client.assistants.count": lambda it: it.client.assistants.count(name="tested"),
    "client.assistants.create": lambda it: it.client.assistants.create("agent", name="another"),
    "client.assistants.delete": lambda it: it.client.assistants.delete("agent"),
    "client.assistants.get": lambda it: it.client.assistants.get("agent"),
    "client.assistants.get_graph": lambda it: it.client.assistants.get_graph("agent", xray=True),
    "client.assistants.get_schemas": lambda it: it.client.assistants.get_schemas("agent"),
    "client.assistants.get_subgraphs": _assistants_get_subgraphs,
    "client.assistants.get_versions": lambda it: it.client.assistants.get_versions("agent"),
    "client.assistants.search": lambda it: it.client.assistants.search(graph_id="agent", select=["name"]),
    "client.assistants.set_latest": lambda it: it.client.assistants.set_latest("agent", 1),
    "client.assistants.update": lambda it: it.client.assistants.update("agent", name="another"),
    "client.threads.copy": lambda it: it.client.threads.copy(it.thread),
    "client.threads.count": lambda it: it.client.threads.count(status="idle"),
    "client.threads.create": lambda it: it.client.threads.create(metadata={"a": 1}, graph_id="agent"),
    "client.threads.delete": lambda it: it.client.threads.delete(it.thread),
    "client.threads.get": lambda it: it.client.threads.get(it.thread),
    "client.threads.get_history": lambda it: it.client.threads.get_history(it.thread, limit=2, select=["values"]),
    "client.threads.get_state": lambda it: it.client.threads.get_state(it.thread, subgraphs=True, select=["next"]),
    "client.threads.join_stream": _threads_join_stream,
    "client.threads.prune": lambda it: it.client.threads.prune([it.thread], strategy="keep_latest"),
    "client.threads.search": lambda it: it.client.threads.search(ids=[it.thread], select=["values"]),
    "client.threads.stream": _threads_stream,
    "client.threads.update": lambda it: it.client.threads.update(it.thread, metadata={"a": 2}),
    "client.threads.update_state": _threads_update_state,
    "client.runs.cancel": lambda it: _then(it.late(), lambda run: it.client.runs.cancel(it.thread, run, wait=True)),
    "client.runs.cancel_many": lambda it: it.client.runs.cancel_many(status="all", action="rollback"),
    "client.runs.create": lambda it: it.client.runs.create(None, "agent", input=HELLO),
    "client.runs.create_batch": lambda it: it.client.runs.create_batch(
        [{"assistant_id": "agent", "input": HELLO}, {"assistant_id": "agent", "input": HELLO}]
    ),
    "client.runs.delete": _runs_delete,
    "client.runs.get": lambda it: it.client.runs.get(it.thread, it.run),
    "client.runs.join": lambda it: it.client.runs.join(it.thread, it.run),
    "client.runs.join_stream": lambda it: _all(it.client.runs.join_stream(it.thread, it.run)),
    "client.runs.list": lambda it: it.client.runs.list(it.thread, status="success", select=["status"]),
    "client.runs.stream": _runs_stream,
    "client.runs.wait": lambda it: it.client.runs.wait(it.thread, "agent", input=HELLO),
    "client.crons.count": lambda it: it.client.crons.count(),
    "client.crons.create": lambda it: it.cron(),
    "client.crons.create_for_thread": _crons_create_for_thread,
    "client.crons.delete": lambda it: _then(it.cron(), it.client.crons.delete),
    "client.crons.search": lambda it: it.client.crons.search(),
    "client.crons.update": lambda it: _then(it.cron(), lambda one: it.client.crons.update(one, enabled=False)),
    "client.store.delete_item": lambda it: it.client.store.delete_item(("notes",), "one"),
    "client.store.get_item": _store_get_item,
    "client.store.list_namespaces": _store_list_namespaces,
    "client.store.put_item": lambda it: it.item(),
    "client.store.search_items": _store_search_items,
    "RemoteGraph.abulk_update_state": lambda it: it.graph.abulk_update_state(it.config, [({}, "answer")]),
    "RemoteGraph.aget_graph": lambda it: it.graph.aget_graph(xray=True),
    "RemoteGraph.aget_state": lambda it: it.graph.aget_state(it.config, subgraphs=True),
    "RemoteGraph.aget_state_history": lambda it: _all(it.graph.aget_state_history(it.config, limit=2)),
    "RemoteGraph.ainvoke": lambda it: it.graph.ainvoke(HELLO, it.config),
    "RemoteGraph.astream": lambda it: _all(it.graph.astream(HELLO, it.config, stream_mode="updates")),
    "RemoteGraph.astream_events": _remote_stream_events,
    "RemoteGraph.aupdate_state": _remote_update_state,
    "RemoteGraph.bulk_update_state": _sync(lambda graph, config: graph.bulk_update_state(config, [({}, "answer")])),
    "RemoteGraph.copy": _sync(lambda graph, config: graph.copy({"name": "x"}).get_state(config)),
    "RemoteGraph.get_graph": _sync(lambda graph, _: graph.get_graph()),
    "RemoteGraph.get_state": _sync(lambda graph, config: graph.get_state(config)),
    "RemoteGraph.get_state_history": _sync(lambda graph, config: list(graph.get_state_history(config))),
    "RemoteGraph.invoke": _sync(lambda graph, config: graph.invoke(HELLO, config)),
    "RemoteGraph.stream": _sync(lambda graph, config: list(graph.stream(HELLO, config))),
    "RemoteGraph.stream_events": _sync(_stream_events),
    "RemoteGraph.update_state": _sync(lambda graph, config: graph.update_state(config, {"messages": []}, "answer")),
    "RemoteGraph.with_config": _sync(lambda graph, config: graph.with_config(tags=["x"]).get_state(config)),
}


async def _then(first: Awaitable[str], then: Callable[[str], Awaitable[Any]]) -> Any:
    return await then(await first)
