"""Takes over threads of langgraph-checkpoint-mongodb: `python -m agent_runtime migrate`."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, get_args

from agent_runtime import command
from agent_runtime.auth.principal import NOBODY, Method, Principal
from agent_runtime.errors import InputError
from agent_runtime.state.records import THREAD_ID, Thread

if TYPE_CHECKING:
    from agent_runtime.agent import Agent
    from agent_runtime.settings import Settings

_METHODS = tuple(method for method in get_args(Method) if method != "anonymous")


def main(arguments: list[str], settings: Settings) -> int:
    """Takes the threads over and tells their number; the exit code is 1 if some could not be."""
    given = _parser().parse_args(arguments)
    return command.run(lambda agent: _migrate(given, agent), settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agent_runtime migrate",
        description="Takes over threads that langgraph-checkpoint-mongodb kept in the agent's MongoDB. Without "
        "`--database`, those of the agent's own older releases. Can be ended and begun again at any time; nothing of "
        "what was kept is changed.",
    )
    parser.add_argument("--dry-run", action="store_true", help="read all, write nothing")
    parser.add_argument(
        "--leave-failed",
        action="store_true",
        help="let the agent go on without the threads of its older releases that can't be read",
    )
    parser.add_argument("--database", help="database of another program's threads, such as `checkpointing_db`")
    parser.add_argument("--checkpoints", default="checkpoints", help="collection of the checkpoints")
    parser.add_argument("--writes", default="checkpoint_writes", help="collection of the writes")
    parser.add_argument(
        "--caller",
        metavar="METHOD:ACCOUNT[:USER]",
        help=f"whose another program's threads are from now on, METHOD being one of {', '.join(_METHODS)}; without it, "
        "of anonymous callers",
    )
    return parser


async def _migrate(given: argparse.Namespace, agent: Agent) -> int:
    if agent.connection is None:
        raise InputError("the agent keeps its state in memory: set `state.mongodb` first")
    from agent_runtime.state.checkpoints.migration import Migration, Source  # noqa: PLC0415 - needs the driver
    from agent_runtime.state.checkpoints.saver import MongoSaver  # noqa: PLC0415 - likewise
    from agent_runtime.state.mongo.layout import Layout  # noqa: PLC0415 - likewise

    own = given.database is None
    layout = Layout(agent.connection, agent.config.agent.key)
    if own and not given.dry_run:
        await layout.refuse_pods()
    saver = await agent.store.prepare()
    if not isinstance(saver, MongoSaver):
        raise TypeError("an agent with MongoDB has another checkpointer")
    caller = _caller(given.caller)
    database = agent.connection.database.client[given.database or agent.connection.name]
    prefix = f"{agent.config.agent.key}/" if own else ""
    source = Source(database[given.checkpoints], database[given.writes], prefix)
    migration = Migration(source, saver, str if own else caller.key, dry=given.dry_run)
    unreachable = 0
    async for key in migration.threads():
        unreachable += not re.fullmatch(THREAD_ID, key.rpartition("~")[2])
        if not own and not given.dry_run:
            await agent.store.add_thread(Thread(key, owner=caller.owner))
    told = {"dry_run": given.dry_run, **asdict(migration.counts), "unreachable": unreachable}
    sys.stdout.write(f"{json.dumps(told)}\n")
    failed = migration.counts.failed and not (own and given.leave_failed)
    if own and not given.dry_run and not failed:
        await layout.settle()
    return 1 if failed else 0


def _caller(given: str | None) -> Principal:
    if given is None:
        return NOBODY
    method, _, rest = given.partition(":")
    account, _, user = rest.partition(":")
    if method not in _METHODS or not account:
        raise InputError(
            f"--caller is METHOD:ACCOUNT or METHOD:ACCOUNT:USER, METHOD being one of {', '.join(_METHODS)}"
        )
    return Principal(account, user, method)  # type: ignore[arg-type] # checked just now
