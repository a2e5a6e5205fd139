"""Collection `threads`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING, DESCENDING, ReturnDocument

from agent_runtime.state.connection import answering
from agent_runtime.state.mongo.documents import Documents
from agent_runtime.state.records import ANONYMOUS, RunStatus, Thread, ThreadQuery, now, thread_status

if TYPE_CHECKING:
    from datetime import datetime


class Threads(Documents):
    """Keeps threads, without their runs and checkpoints."""

    async def _prepare_threads(self) -> None:
        threads = self._db["threads"]
        async with answering():
            newest = [("created_at", DESCENDING), ("_id", DESCENDING)]
            await threads.create_index([("agent", ASCENDING), ("updated_at", ASCENDING), ("_id", ASCENDING)])
            await threads.create_index([("agent", ASCENDING), *newest])
            await threads.create_index([("agent", ASCENDING), ("owner", ASCENDING), *newest])

    async def add_thread(self, thread: Thread) -> bool:
        document = {"_id": self._key(thread.thread_id), "agent": self._agent, **asdict(thread)}
        return await self._insert("threads", document)

    async def thread(self, thread_id: str) -> Thread | None:
        async with answering():
            return _thread(await self._db["threads"].find_one({"_id": self._key(thread_id)}))

    async def threads(self, query: ThreadQuery) -> list[Thread]:
        direction = DESCENDING if query.descending else ASCENDING
        # By `_id` as well: threads of one moment would else come in any order, and pages leave some out.
        order = [(query.sort_by, direction), ("_id", direction)]
        async with answering():
            found = self._db["threads"].find(self._wanted(query), sort=order, skip=query.offset, limit=query.limit)
            return [thread async for document in found if (thread := _thread(document))]

    async def count_threads(self, query: ThreadQuery) -> int:
        async with answering():
            return await self._db["threads"].count_documents(self._wanted(query))

    def _wanted(self, query: ThreadQuery) -> dict[str, Any]:
        wanted: dict[str, Any] = {"agent": self._agent}
        wanted |= {f"metadata.{name}": {"$eq": value} for name, value in query.metadata.items()}
        if query.ids:
            wanted["_id"] = {"$in": [self._key(name) for name in query.ids]}
        if query.status:
            wanted["status"] = query.status
        if query.owner:
            # Threads of an older release have no owner.
            wanted["owner"] = {"$in": [ANONYMOUS, None]} if query.owner == ANONYMOUS else query.owner
        return wanted

    async def update_thread(self, thread_id: str, metadata: dict[str, Any]) -> Thread | None:
        changes = {f"metadata.{name}": value for name, value in metadata.items()}
        async with answering():
            return _thread(
                await self._db["threads"].find_one_and_update(
                    {"_id": self._key(thread_id)},
                    {"$set": {**changes, "updated_at": now()}},
                    return_document=ReturnDocument.AFTER,
                )
            )

    async def settle_thread(self, thread_id: str, status: RunStatus) -> None:
        await self._set_thread(thread_id, status)

    async def idle_since(self, moment: datetime, limit: int) -> list[str]:
        wanted = {"agent": self._agent, "updated_at": {"$lt": moment}, "status": {"$ne": "busy"}}
        async with answering():
            return [doc["thread_id"] async for doc in self._db["threads"].find(wanted, {"thread_id": 1}, limit=limit)]

    async def _set_thread(self, thread_id: str, status: RunStatus, *, asked: bool | None = None) -> bool:
        """Whether the thread had open interrupts before."""
        changes = {"status": thread_status(status), "updated_at": now(), **({} if asked is None else {"asked": asked})}
        # Together with other threads, where there were none.
        if await self._change("threads", {"_id": self._key(thread_id), "asked": {"$ne": True}}, {"$set": changes}):
            return False
        async with answering():
            before = await self._db["threads"].find_one_and_update(
                {"_id": self._key(thread_id)}, {"$set": changes}, projection={"asked": 1}
            )
        return bool(before and before.get("asked"))


def _thread(document: dict[str, Any] | None) -> Thread | None:
    if document is None:
        return None
    return Thread(**{name: document[name] for name in Thread.__dataclass_fields__ if name in document})
