"""Collection `interrupts`: what threads wait for, and for some days what became of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING, UpdateOne

from agent_runtime.errors import UnreadableError
from agent_runtime.state.connection import answering
from agent_runtime.state.interrupts import REMEMBERED, Interrupt, Pending
from agent_runtime.state.mongo.documents import Documents
from agent_runtime.state.records import now

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from pymongo.asynchronous.collection import AsyncCollection

    from agent_runtime.state.interrupts import InterruptQuery, InterruptStatus

INTERRUPTS = "interrupts"


class Interrupts(Documents):
    """Keeps interrupts, and in their threads (`asked`) whether there are open ones."""

    async def _prepare_interrupts(self) -> None:
        async with answering():
            await self._interrupts.create_index([("agent", ASCENDING), ("status", ASCENDING), ("due", ASCENDING)])
            await self._interrupts.create_index([("agent", ASCENDING), ("status", ASCENDING), ("thread", ASCENDING)])
            await self._interrupts.create_index([("thread", ASCENDING), ("status", ASCENDING)])
            listed = [("agent", ASCENDING), ("kind", ASCENDING), ("status", ASCENDING), ("since", ASCENDING)]
            await self._interrupts.create_index([*listed, ("_id", ASCENDING)])
            await self._interrupts.create_index([("agent", ASCENDING), ("handle", ASCENDING)])
            await self._interrupts.create_index([("agent", ASCENDING), ("approvers", ASCENDING)])
            await self._interrupts.create_index([("expires", ASCENDING)], expireAfterSeconds=0)

    async def note_interrupts(self, found: Sequence[Interrupt]) -> None:
        async with answering():
            # In the order in which all commands lock documents.
            places = sorted(found, key=lambda one: (one.thread_id, one.interrupt_id))
            await self._interrupts.bulk_write([self._noted(one) for one in places], ordered=False)

    def _noted(self, one: Interrupt) -> UpdateOne:
        fields = asdict(one)
        since = fields.pop("since")
        del fields["unreadable"]
        name = self._interrupt_key(one.thread_id, one.interrupt_id)
        # As text, since a value may have keys and numbers that BSON does not take.
        value = self._vault.close(json.dumps(one.value), f"{name}|value")
        fields |= {"value": value, "agent": self._agent, "thread": self._key(one.thread_id)}
        update = {"$set": fields, "$setOnInsert": {"since": since}, "$unset": {"expires": ""}}
        return UpdateOne({"_id": name}, update, upsert=True)

    async def end_interrupts(
        self, thread_id: str, status: InterruptStatus, *, ids: Collection[str] | None = None, but: Collection[str] = ()
    ) -> list[str]:
        wanted: dict[str, Any] = {"thread": self._key(thread_id), "status": "open"}
        named: dict[str, Any] = {"$nin": list(but)}
        if ids is not None:
            named["$in"] = list(ids)
        if ids is not None or but:
            wanted["interrupt_id"] = named
        ended = now()
        async with answering():
            found = {document["_id"]: document["kind"] async for document in self._interrupts.find(wanted, {"kind": 1})}
            changes = {"status": status, "ended": ended, "expires": ended + REMEMBERED}
            if found:
                still = {"_id": {"$in": list(found)}, "status": "open"}
                await self._interrupts.update_many(still, {"$set": changes})
            return list(found.values())

    async def interrupt(self, thread_id: str, interrupt_id: str) -> Interrupt | None:
        return await self._one({"_id": self._interrupt_key(thread_id, interrupt_id)})

    async def interrupt_of(self, handle: str) -> Interrupt | None:
        return await self._one({"agent": self._agent, "handle": handle})

    async def interrupts(self, query: InterruptQuery) -> list[Interrupt]:
        wanted: dict[str, Any] = {"agent": self._agent, "kind": query.kind, "status": query.status}
        wanted["$or"] = [{"owner": query.owner}, {"approvers": {"$in": list(query.marks)}}]
        if query.node is not None:
            wanted["node"] = query.node
        if query.thread_id is not None:
            wanted["thread"] = self._key(query.thread_id)
        order = [("since", ASCENDING), ("_id", ASCENDING)]
        return await self._find_interrupts(wanted, order, query.limit, query.offset)

    async def approvers(self) -> list[str]:
        async with answering():
            found = await self._interrupts.distinct("approvers", {"agent": self._agent, "approvers": {"$gt": ""}})
            return [mark for mark in found if isinstance(mark, str)]

    async def pending(self, kind: str) -> Pending:
        wanted = {"agent": self._agent, "kind": kind, "status": "open"}
        async with answering():
            oldest = await self._interrupts.find_one(wanted, {"since": 1}, sort=[("since", ASCENDING)])
            if oldest is None:
                return Pending(0)
            return Pending(await self._interrupts.count_documents(wanted), oldest["since"])

    async def expiring(self, limit: int) -> list[Interrupt]:
        wanted = {"agent": self._agent, "status": "open", "due": {"$ne": None}}
        return await self._find_interrupts(wanted, [("due", ASCENDING)], limit)

    async def claim_interrupt(self, interrupt: Interrupt, until: datetime) -> bool:
        wanted = {"_id": self._interrupt_key(interrupt.thread_id, interrupt.interrupt_id), "status": "open"}
        async with answering():
            result = await self._interrupts.update_one({**wanted, "due": interrupt.due}, {"$set": {"due": until}})
            return bool(result.matched_count)

    async def asked_threads(self, after: str, limit: int) -> list[str]:
        wanted = {"agent": self._agent, "status": "open", "thread": {"$gt": self._key(after)}}
        async with answering():
            found = self._interrupts.find(wanted, {"thread_id": 1}, sort=[("thread", ASCENDING)], limit=limit)
            return list(dict.fromkeys([document["thread_id"] async for document in found]))

    async def unnoted_threads(self, limit: int) -> list[str]:
        wanted = {"agent": self._agent, "status": "interrupted", "asked": None}
        async with answering():
            found = self._db["threads"].find(wanted, {"thread_id": 1}, limit=limit)
            return [document["thread_id"] async for document in found]

    async def set_asked(self, thread_id: str, *, asked: bool) -> None:
        async with answering():
            await self._db["threads"].update_one({"_id": self._key(thread_id)}, {"$set": {"asked": asked}})

    async def _find_interrupts(
        self, wanted: dict[str, Any], order: list[tuple[str, int]], limit: int, offset: int = 0
    ) -> list[Interrupt]:
        async with answering():
            found = self._interrupts.find(wanted, sort=order, limit=limit, skip=offset)
            return [self._interrupt(document) async for document in found]

    async def _one(self, wanted: dict[str, Any]) -> Interrupt | None:
        async with answering():
            found = await self._interrupts.find_one(wanted)
        return None if found is None else self._interrupt(found)

    def _interrupt(self, document: dict[str, Any]) -> Interrupt:
        fields = {name: document[name] for name in Interrupt.__dataclass_fields__ if name in document}
        value, unreadable = {}, ""
        try:
            value = self._vault.open_object(document.get("value"), f"{document['_id']}|value")
        except UnreadableError as error:
            unreadable = str(error)
        told = {"value": value, "unreadable": unreadable, "approvers": tuple(document.get("approvers", ()))}
        return Interrupt(**{**fields, **told})

    def _interrupt_key(self, thread_id: str, interrupt_id: str) -> str:
        return self._key(f"{thread_id}:{interrupt_id}")

    @property
    def _interrupts(self) -> AsyncCollection[dict[str, Any]]:
        return self._db[INTERRUPTS]
