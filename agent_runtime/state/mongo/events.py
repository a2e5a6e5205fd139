"""Collection `run_events`: what runs told, for a short time, in batches."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
from pymongo import ASCENDING

from agent_runtime.state.connection import answering
from agent_runtime.state.mongo.documents import Documents
from agent_runtime.state.records import Event, Run, now

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENTS = "run_events"
_LIFE = timedelta(minutes=10)
_PAGE = 20
"""Batches that are read at once."""


class Events(Documents):
    """Keeps events for those who follow a run from another pod, or come back to it."""

    async def _prepare_events(self) -> None:
        async with answering():
            await self._db[EVENTS].create_index([("thread", ASCENDING), ("run_id", ASCENDING), ("last", ASCENDING)])
            await self._db[EVENTS].create_index([("expires", ASCENDING)], expireAfterSeconds=0)

    async def add_events(self, run: Run, events: Sequence[Event]) -> None:
        last = events[-1].number
        name = self._key(f"{run.run_id}/{last}")
        told = [[event.number, event.name, event.data.decode()] for event in events]
        document = {
            "_id": name,
            "agent": self._agent,
            "thread": self._key(run.thread_id),
            "run_id": run.run_id,
            "last": last,
            "events": self._vault.close(orjson.dumps(told).decode(), f"{name}|events"),
            "expires": now() + _LIFE,
        }
        await self._insert(EVENTS, document)

    async def events_after(self, run: Run, after: int) -> list[Event]:
        wanted = {"thread": self._key(run.thread_id), "run_id": run.run_id, "last": {"$gt": after}}
        async with answering():
            found = self._db[EVENTS].find(wanted, {"events": 1}, sort=[("last", ASCENDING)], limit=_PAGE)
            told = [event async for document in found for event in self._events(document)]
        return [event for event in told if event.number > after]

    def _events(self, document: dict[str, Any]) -> list[Event]:
        kept = document["events"]
        if isinstance(kept, list):  # of an older release
            return [Event(*event) for event in kept]
        told = orjson.loads(self._vault.open(kept, f"{document['_id']}|events"))
        return [Event(number, name, data.encode()) for number, name, data in told]
