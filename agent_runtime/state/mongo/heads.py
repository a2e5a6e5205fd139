"""Who holds which thread: collection `heads`, one document per thread.

`lease` is the holder's token, and None or missing where nobody holds the thread. `epoch` grows whenever the thread is
taken, and stays when it is free again. The checkpointer repeats the epoch in the documents that its own updates move.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING, MongoClient, ReturnDocument, UpdateOne
from pymongo.errors import PyMongoError

from agent_runtime.errors import UnavailableError
from agent_runtime.state.connection import answering
from agent_runtime.state.fence import first_epoch
from agent_runtime.state.mongo.documents import Documents
from agent_runtime.state.records import Lease
from agent_runtime.state.trouble import readable, reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymongo.asynchronous.collection import AsyncCollection

    from agent_runtime.state.connection import MongoConnection

HEADS = "heads"


class Heads(Documents):
    """Takes, renews and frees threads."""

    async def _prepare_heads(self) -> None:
        async with answering():
            await self._heads.create_index([("agent", ASCENDING), ("lease", ASCENDING)])

    async def claim(self, thread_id: str, *, new: bool = False) -> Lease | None:
        lease = Lease.new(thread_id)
        if new:
            return await self._claim_new(lease)
        async with answering():
            found = await self._heads.find_one_and_update(
                {"_id": self._key(thread_id), "lease": None},
                {"$set": {"agent": self._agent, "lease": lease.token, "beat": 0}, "$inc": {"epoch": 1}},
                projection={"epoch": 1},
                return_document=ReturnDocument.AFTER,
            )
        if found is not None:
            return replace(lease, epoch=found["epoch"])
        # An upsert would do both at once, but FerretDB reports a thread that is held as an internal error.
        return await self._claim_new(lease)

    async def _claim_new(self, lease: Lease) -> Lease | None:
        lease = replace(lease, epoch=first_epoch())
        document = {"agent": self._agent, "lease": lease.token, "beat": 0, "epoch": lease.epoch}
        return lease if await self._insert(HEADS, {"_id": self._key(lease.thread_id), **document}) else None

    async def leases(self) -> list[Lease]:
        async with answering():
            found = self._heads.find({"agent": self._agent, "lease": {"$gt": ""}})
            return [_lease(document, self._agent) async for document in found]

    def renewer(self) -> HeadsRenewer:
        return HeadsRenewer(self._connection, self._agent)

    async def release(self, lease: Lease, *, gone: bool = False) -> bool:
        async with answering():
            wanted = {"_id": self._key(lease.thread_id), "lease": lease.token}
            if gone:
                return bool((await self._heads.delete_one(wanted)).deleted_count)
            result = await self._heads.update_one(wanted, {"$set": {"lease": None}})
            return bool(result.matched_count)

    async def free(self, lease: Lease) -> None:
        wanted = {"_id": self._key(lease.thread_id), "lease": lease.token}
        await self._change(HEADS, wanted, {"$set": {"lease": None}})

    @property
    def _heads(self) -> AsyncCollection[dict[str, Any]]:
        return self._db[HEADS]


class HeadsRenewer:
    """Renews leases by a client of its own, whose one connection no other call waits for."""

    def __init__(self, connection: MongoConnection, agent: str) -> None:
        self._connection = connection
        self._agent = agent
        self._client: MongoClient[dict[str, Any]] | None = None

    def renew(self, held: Sequence[Lease]) -> list[Lease]:
        keys = {lease.token: f"{self._agent}/{lease.thread_id}" for lease in held}
        places = sorted((key, token) for token, key in keys.items())  # as all commands lock documents
        writes = [UpdateOne({"_id": key, "lease": token}, {"$inc": {"beat": 1}}) for key, token in places]
        heads = self._connected()[self._connection.name][HEADS]
        try:
            if heads.bulk_write(writes, ordered=False).matched_count == len(held):
                return list(held)
            found = heads.find({"_id": {"$in": list(keys.values())}}, {"lease": 1})
            current = {document.get("lease") for document in found}
        except PyMongoError as error:
            raise UnavailableError(f"MongoDB can't be used: {reason(error)}") from error
        return [lease for lease in held if lease.token in current]

    def wake(self) -> None:
        self._connected()

    def rest(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> MongoClient[dict[str, Any]]:
        if self._client is None:
            with readable():
                self._client = MongoClient(**self._connection.arguments(), maxPoolSize=1)
        return self._client


def _lease(document: dict[str, Any], agent: str) -> Lease:
    thread_id = document["_id"].removeprefix(f"{agent}/")
    return Lease(thread_id, document["lease"], document["epoch"], document["beat"])
