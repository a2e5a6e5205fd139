"""Commands of two pods that write the same documents at a time do not lock each other out."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from pymongo import AsyncMongoClient

from agent_runtime.state.batch import Change, Changes
from agent_runtime.state.mongo.batches import Inserts

ROUNDS = 60
NAMES = [f"{number:02}" for number in range(20)]


async def add(pod: Inserts, names: list[str]) -> list[bool]:
    """Whether each is new, in any order."""
    return await asyncio.gather(*(pod.add({"_id": name, "count": 0}) for name in random.sample(names, len(names))))


async def count(pod: Changes, names: list[str]) -> list[bool | None]:
    """Whether each was counted, in any order."""
    changes = [Change({"_id": name}, {"$inc": {"count": 1}}, 0) for name in random.sample(names, len(names))]
    return await asyncio.gather(*map(pod.apply, changes))


async def test_all_that_two_pods_write_is_taken_whatever_order_it_comes_in(mongodb_uri: str, database: str):
    clients = [AsyncMongoClient[dict[str, Any]](mongodb_uri) for _ in range(2)]
    inserts = [Inserts(lambda it=it: it[database]["things"]) for it in clients]
    changes = [Changes(lambda it=it: it[database]["things"]) for it in clients]
    try:
        for at in range(ROUNDS):
            names = [f"{at}/{name}" for name in NAMES]
            added = await asyncio.gather(*(add(pod, names) for pod in inserts))
            assert sum(map(sum, added)) == len(names), "each is new to one of them"
            assert await asyncio.gather(*(count(pod, names) for pod in changes)) == [[True] * len(names)] * 2
        counts = [each["count"] async for each in clients[0][database]["things"].find()]
        assert counts == [2] * ROUNDS * len(NAMES)
    finally:
        for each in clients:
            await each.close()
