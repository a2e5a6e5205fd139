"""Our checkpointer against langgraph-checkpoint-mongodb on the same server, in one process each time.

A chat of many turns: commands to MongoDB and their bytes for each turn. A graph of five nodes, run by parallel clients:
runs per second, latency, and CPU of this process for each run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import operator
import os
import resource
import secrets
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import bson
import uvloop
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.mongodb import MongoDBSaver
from langgraph.graph import END, START, StateGraph, add_messages
from pymongo import MongoClient, monitoring

from agent_runtime import garbage
from agent_runtime.state.checkpoints.saver import MongoSaver
from agent_runtime.state.connection import MongoConnection

NODES = 5
_ASIDE = {"ping", "hello", "isMaster", "saslStart", "saslContinue", "buildInfo", "endSessions", "createIndexes"}
_ASIDE |= {"listIndexes", "dropDatabase", "dbStats", "collStats"}

Savers = Callable[[str, str], AbstractAsyncContextManager[BaseCheckpointSaver[Any]]]


class Commands(monitoring.CommandListener):
    """Counts commands and their bytes."""

    def __init__(self) -> None:
        self.on = False
        self.count: Counter[str] = Counter()
        self.bytes = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Counts, while it is switched on."""
        if self.on and event.command_name not in _ASIDE:
            self.count[event.command_name] += 1
            self.bytes += len(bson.encode(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to count."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Likewise."""


@asynccontextmanager
async def ours(uri: str, database: str) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """The runtime's checkpointer."""
    connection = MongoConnection(lambda: uri, database)
    saver = MongoSaver(connection, "bench/agent")
    await saver.start()
    yield saver
    await connection.close()


@asynccontextmanager
async def stock(uri: str, database: str) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """The public one, with as many threads as the runtime gave it before."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    yield MongoDBSaver(client, database)
    await asyncio.to_thread(client.close)


SAVERS: dict[str, Savers] = {"ours": ours, "stock": stock}


class Chat(TypedDict):
    """State of a chat."""

    messages: Annotated[list[AnyMessage], add_messages]
    turns: Annotated[int, operator.add]


class Count(TypedDict):
    """State of the graph of five nodes."""

    count: int


def chat() -> StateGraph[Any, Any, Any, Any]:
    """A graph of two nodes, of which one answers with 600 characters."""

    def look(_state: Chat) -> dict[str, Any]:
        return {"turns": 1}

    def answer(_state: Chat) -> dict[str, Any]:
        return {"messages": [AIMessage(secrets.token_hex(300))]}

    graph = StateGraph(Chat)
    graph.add_node("look", look)
    graph.add_node("answer", answer)
    graph.add_edge(START, "look")
    graph.add_edge("look", "answer")
    graph.add_edge("answer", END)
    return graph


def chain() -> StateGraph[Any, Any, Any, Any]:
    """A graph of five nodes, one after the other."""

    async def add(state: Count) -> dict[str, int]:
        return {"count": state["count"] + 1}

    graph = StateGraph(Count)
    names = [f"n{number}" for number in range(NODES)]
    for before, name in zip([START, *names], names, strict=False):
        graph.add_node(name, add)
        graph.add_edge(before, name)
    graph.add_edge(names[-1], END)
    return graph


async def talk(uri: str, savers: Savers, turns: int, commands: Commands) -> dict[str, Any]:
    """What a chat of so many turns takes."""
    database = f"bench_{secrets.token_hex(4)}"
    try:
        async with savers(uri, database) as saver:
            graph = chat().compile(checkpointer=saver)
            config: Any = {"configurable": {"thread_id": "chat"}}
            commands.count.clear()
            commands.bytes, commands.on = 0, True
            cpu, begin = _cpu(), time.monotonic()
            for turn in range(turns):
                # Under an id of its own: LangGraph would go on with a run that it knows.
                asked: Any = {**config, "metadata": {"run_id": f"run-{turn}"}}
                await graph.ainvoke({"messages": [("user", secrets.token_hex(300))]}, asked, durability="sync")
            seconds, cpu = time.monotonic() - begin, _cpu() - cpu
            commands.on = False
            found = await graph.aget_state(config)
            assert len(found.values["messages"]) == 2 * turns, "messages were lost"
    finally:
        with MongoClient[dict[str, Any]](uri) as client:
            client.drop_database(database)
    return {
        "commands_per_turn": round(commands.count.total() / turns, 2),
        "bytes_per_turn": round(commands.bytes / turns),
        "ms_per_turn": round(seconds / turns * 1000, 2),
        "cpu_ms_per_turn": round(cpu / turns * 1000, 2),
    }


@dataclass(frozen=True)
class Load:
    """How often a graph is run, by how many at a time."""

    runs: int
    clients: int
    durability: Any


async def load(uri: str, savers: Savers, asked: Load) -> dict[str, Any]:
    """Runs per second of the graph of five nodes."""
    database = f"bench_{secrets.token_hex(4)}"
    latencies: list[float] = []
    try:
        async with savers(uri, database) as saver:
            graph = chain().compile(checkpointer=saver)

            async def run(number: int) -> None:
                config: Any = {"configurable": {"thread_id": f"t{number}"}, "metadata": {"run_id": f"r{number}"}}
                begin = time.monotonic()
                ended = await graph.ainvoke({"count": 0}, config, durability=asked.durability)
                latencies.append(time.monotonic() - begin)
                assert ended == {"count": NODES}, ended

            await asyncio.gather(*(run(-number) for number in range(1, asked.clients + 1)))
            latencies.clear()
            numbers = iter(range(asked.runs))

            async def client() -> None:
                for number in numbers:
                    await run(number)

            cpu, begin = _cpu(), time.monotonic()
            await asyncio.gather(*(client() for _ in range(asked.clients)))
            seconds, cpu = time.monotonic() - begin, _cpu() - cpu
    finally:
        with MongoClient[dict[str, Any]](uri) as client_:
            client_.drop_database(database)
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "runs_per_second": round(asked.runs / seconds, 1),
        "p50_ms": round(cuts[49] * 1000, 1),
        "p99_ms": round(cuts[98] * 1000, 1),
        "cpu_ms_per_run": round(cpu / asked.runs * 1000, 2),
    }


def ratios(name: str, told: dict[str, dict[str, Any]]) -> dict[str, float]:
    """How many times the other one's figure ours is."""
    shared = [key for key in told["ours"] if told["stock"].get(key)]
    return {f"{name}_{key}": round(told["ours"][key] / told["stock"][key], 4) for key in shared}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _uri(given: str | None) -> AbstractAsyncContextManager[str]:
    @asynccontextmanager
    async def found() -> AsyncIterator[str]:
        if given:
            yield given
            return
        from cluster.installation import mongodb_uri  # noqa: PLC0415 - only without a server of one's own

        with mongodb_uri() as uri:
            yield uri

    return found()


async def measure(options: argparse.Namespace, commands: Commands) -> None:
    """Prints one JSON object for each measurement, and the ratios."""
    async with _uri(options.mongodb) as uri:
        told = {name: await talk(uri, savers, options.turns, commands) for name, savers in SAVERS.items()}
        print(json.dumps({"chat": told, "turns": options.turns, "ratios": ratios("chat", told)}), flush=True)
        for clients in options.clients:
            runs = max(options.runs * clients // max(options.clients), 20)
            asked = Load(runs, clients, options.durability)
            rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in SAVERS}
            for _ in range(options.rounds):
                for name, savers in SAVERS.items():
                    rounds[name].append(await load(uri, savers, asked))
            best = {name: max(one, key=lambda found: found["runs_per_second"]) for name, one in rounds.items()}
            print(json.dumps({"clients": clients, "runs": runs, **best, "ratios": ratios("load", best)}), flush=True)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--runs", type=int, default=600, help="with the most clients; fewer with fewer")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--durability", choices=("sync", "async", "exit"), default="async")
    parser.add_argument("--mongodb", metavar="URI", default=os.environ.get("APM_TEST_MONGODB"))
    parser.add_argument("--uri-file", type=Path, help="where the URI stands")
    options = parser.parse_args()
    if options.uri_file:
        options.mongodb = options.uri_file.read_text().strip()
    commands = Commands()
    monitoring.register(commands)
    # As the runtime does.
    garbage.settle()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(options, commands))


if __name__ == "__main__":
    main()
