"""Pods that are killed at random moments, while their runs emit events that start other runs."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any
from uuid import uuid4

import httpx

from agent_runtime.events.mongo import MongoStorage
from agent_runtime.state.connection import MongoConnection
from agent_runtime.state.records import ACTIVE
from fakes.events import NOTE, STATE, emitting, eventually, seen
from fakes.replicas import Fleet, replicas

KILLS = int(os.environ.get("APM_KILLS", "2"))
EVENTS = 30 * KILLS
SEED = 20261121


async def test_pods_that_die_lose_and_double_nothing(mongodb_uri, database, tmp_path):
    chance = random.Random(SEED)  # noqa: S311 - the same moments each time
    async with replicas(tmp_path, mongodb_uri, database, spec=_chain(), APM_LEASE_TIMEOUT_SECONDS="3") as fleet:
        sending = asyncio.create_task(_send(fleet, chance))
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.5, 2))
            dying = chance.randrange(len(fleet))
            fleet[dying].kill()
            await fleet.start([dying])
        sent = await sending
        connection = MongoConnection(lambda: mongodb_uri, database)
        storage = MongoStorage(connection, "tests/tested", 60.0)
        runs, active = connection.database["runs"], {"status": {"$in": list(ACTIVE)}}

        async def settled() -> bool:
            # In this order: a run is there before its event counts as delivered.
            found = [await runs.count_documents(active), await storage.backlog(), await runs.count_documents(active)]
            return not any(found)

        await eventually(settled, 90.0)
        assert await storage.letters(None, 10, "") == []
        await connection.close()
        found = sorted(one for values in await seen(fleet[0].client) for one in values)
    assert found == sorted(f"got {name}" for name in sent)


def _chain() -> dict[str, Any]:
    """Runs emit an event, which starts a run that notes it."""
    begin = {
        "name": "begin",
        "uses": "set",
        "with": {"values": {"order": "state.order"}},
        "next": {"switch": [{"when": "state.order.startsWith('got ')", "to": "note"}], "else": "tell"},
    }
    tell = emitting()
    tell["with"] = {"type": "shop.order.made", "subject": "state.order.substring(0, 1)", "data": "state.order"}
    start = {"input": {"order": "'got ' + event.data"}}
    return {
        "workflow": {"state": STATE, "start": "begin", "nodes": [begin, tell, NOTE]},
        "events": {"subscribe": [{"name": "orders", "type": "shop.order.made", "start": start}]},
    }


async def _send(fleet: Fleet, chance: random.Random) -> list[str]:
    """Has runs made at any pod that takes them, each once."""
    names = [f"{chance.choice('abc')}{number}" for number in range(EVENTS)]
    for name in names:
        thread, key = str(uuid4()), str(uuid4())
        while True:
            try:
                await chance.choice(fleet).client.runs.create(
                    thread,
                    "agent",
                    input={"order": name},
                    if_not_exists="create",
                    headers={"Idempotency-Key": key},
                )
                break
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
        await asyncio.sleep(chance.uniform(0, 0.08))
    return names
