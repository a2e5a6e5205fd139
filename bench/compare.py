"""An agent's pod and its checkpointer against `langgraph dev` and langgraph-checkpoint-mongodb: one table.

The same graph of five nodes, by the same clients, on this machine; all that uses MongoDB uses the same server.
`langgraph dev` keeps its state in memory, so that its runs end with its process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import time
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import uvloop
from pymongo import MongoClient, monitoring

from agent_runtime import garbage
from bench import checkpoints, servers
from bench.clients import closed, opened, percentiles
from bench.packages import NotThereError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.servers import Server

CLIENTS = (1, 10, 100)
OURS, DEV, SAVER, STOCK = "agent pod", "langgraph dev", "our checkpointer", "checkpoint-mongodb"
COLUMNS = (OURS, DEV, SAVER, STOCK)
# To be reached, by issue 6.
FASTER, SMALLER, FIRST_MS, MEGABYTES, CPU_SECONDS = 3, 50, 100, 90, 1
SYNC_RATE = f"{CLIENTS[-1]} clients, durability sync: runs per second"
FIRST_NODE = "submit to first node at half load, p50 / p99 ms"

Table = dict[str, dict[str, Any]]
"""Row, then column."""


def serve(table: Table, name: str, server: Server, options: argparse.Namespace) -> None:
    """Measures a server over HTTP."""
    table["CPU until ready, s"][name] = round(server.ready_cpu, 2)
    time.sleep(options.idle)
    table["memory when idle, MiB RSS"][name] = round(server.rss(), 1)
    asyncio.run(closed(server.url, 20, 4))
    fastest = 0.0
    for clients in CLIENTS:
        cpu = server.cpu()
        seen = asyncio.run(closed(server.url, max(options.runs * clients // CLIENTS[-1], 50), clients))
        fastest = max(fastest, seen.runs_per_second)
        _tell(table, name, clients, [seen.runs_per_second, *percentiles(seen.latencies)])
        table[f"{clients} clients: CPU ms per run"][name] = round((server.cpu() - cpu) / seen.runs * 1000, 2)
    seen = asyncio.run(opened(server.url, fastest / 2, options.seconds))
    table[FIRST_NODE][name] = "{} / {}".format(*percentiles(seen.first_nodes))


def _tell(table: Table, name: str, clients: int, told: list[float]) -> None:
    table[f"{clients} clients: runs per second"][name] = round(told[0], 1)
    table[f"{clients} clients: p50 / p99 ms"][name] = f"{told[1]} / {told[2]}"


async def keep(table: Table, uri: str, options: argparse.Namespace, commands: checkpoints.Commands) -> None:
    """Measures the checkpointers, in this process."""
    for name, savers in ((SAVER, checkpoints.ours), (STOCK, checkpoints.stock)):
        told = await checkpoints.talk(uri, savers, options.turns, commands)
        table[f"{options.turns} turns: MongoDB commands per turn"][name] = told["commands_per_turn"]
        table[f"{options.turns} turns: bytes to MongoDB per turn"][name] = told["bytes_per_turn"]
        for clients in CLIENTS:
            runs = max(options.runs * clients // CLIENTS[-1], 50)
            best = await _best(uri, savers, checkpoints.Load(runs, clients, "async"), options.rounds)
            _tell(table, name, clients, [best["runs_per_second"], best["p50_ms"], best["p99_ms"]])
            table[f"{clients} clients: CPU ms per run"][name] = best["cpu_ms_per_run"]
        best = await _best(uri, savers, checkpoints.Load(options.runs, CLIENTS[-1], "sync"), options.rounds)
        table[SYNC_RATE][name] = round(best["runs_per_second"], 1)


async def _best(uri: str, savers: checkpoints.Savers, asked: checkpoints.Load, rounds: int) -> dict[str, Any]:
    told = [await checkpoints.load(uri, savers, asked) for _ in range(rounds)]
    return max(told, key=lambda one: one["runs_per_second"])


def goals(table: Table, turns: int) -> list[str]:
    """What was to be reached, and what was."""
    sizes = table[f"{turns} turns: bytes to MongoDB per turn"]
    faster = {
        mode: table[row][SAVER] / table[row][STOCK]
        for mode, row in (("async", f"{CLIENTS[-1]} clients: runs per second"), ("sync, as agents do", SYNC_RATE))
    }
    first = float(str(table[FIRST_NODE][OURS]).rpartition("/")[2])
    memory, cpu = table["memory when idle, MiB RSS"][OURS], table["CPU until ready, s"][OURS]
    smaller = sizes[STOCK] / sizes[SAVER]
    megabytes = round(memory * 2**20 / 1e6, 1)
    told = [
        *(
            (f"checkpointer, 100 clients, {mode}: at least {FASTER} times the runs per second", x, "times", x >= FASTER)
            for mode, x in faster.items()
        ),
        (f"checkpointer, {turns} turns: 1/{SMALLER} of the bytes", 1 / smaller, "of them", smaller >= SMALLER),
        (f"submit to first node at half load: p99 under {FIRST_MS} ms", first, "ms", first < FIRST_MS),
        (f"idle pod: at most {MEGABYTES} MB", megabytes, "MB, with this machine's libraries", megabytes <= MEGABYTES),
        (f"ready within {CPU_SECONDS} s of CPU", cpu, "s", cpu <= CPU_SECONDS),
    ]
    return [f"- {what}: {found:.3g} {unit}, {'' if reached else 'not '}reached" for what, found, unit, reached in told]


def lines(table: Table) -> Iterator[str]:
    """The table, in Markdown."""
    rows = [["", *COLUMNS], *([row, *(str(found.get(name, "")) for name in COLUMNS)] for row, found in table.items())]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for number, row in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        if number == 0:
            yield "| " + " | ".join("-" * width for width in widths) + " |"


def rows(turns: int) -> Table:
    """An empty table."""
    names = ["CPU until ready, s", "memory when idle, MiB RSS"]
    for clients in CLIENTS:
        names += [f"{clients} clients: {what}" for what in ("runs per second", "p50 / p99 ms", "CPU ms per run")]
    names += [
        SYNC_RATE,
        FIRST_NODE,
        f"{turns} turns: MongoDB commands per turn",
        f"{turns} turns: bytes to MongoDB per turn",
    ]
    return {name: {} for name in names}


@contextmanager
def database_at(uri: str) -> Iterator[str]:
    """Name of a database of one's own; dropped at the end."""
    name = f"bench_{secrets.token_hex(4)}"
    try:
        yield name
    finally:
        with MongoClient[dict[str, Any]](uri) as client:
            client.drop_database(name)


def mongodb_at(given: str | None) -> AbstractContextManager[str]:
    """The MongoDB given, or that of the local cluster."""

    @contextmanager
    def found() -> Iterator[str]:
        if given:
            yield given
            return
        from cluster.installation import mongodb_uri  # noqa: PLC0415 - only without a server of one's own

        with mongodb_uri() as uri:
            yield uri

    return found()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=600, help="with the most clients; fewer with fewer")
    parser.add_argument("--rounds", type=int, default=2, help="of the checkpointers; the best one counts")
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10, help="of the half load")
    parser.add_argument("--idle", type=float, default=3, help="seconds before the idle memory is read")
    parser.add_argument("--mongodb", metavar="URI", default=os.environ.get("APM_TEST_MONGODB"))
    options = parser.parse_args()
    table, missing = rows(options.turns), []
    with mongodb_at(options.mongodb) as uri:
        with database_at(uri) as database, servers.agent(uri, database) as server:
            serve(table, OURS, server, options)
        try:
            with servers.langgraph_dev() as server:
                serve(table, DEV, server, options)
        except NotThereError as error:
            missing.append(f"- {error}")
        commands = checkpoints.Commands()
        monitoring.register(commands)
        # As the runtime does.
        garbage.settle()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(keep(table, uri, options, commands))
    print("\n".join([*lines(table), "", *goals(table, options.turns), *missing]))


if __name__ == "__main__":
    main()
