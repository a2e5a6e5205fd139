"""What many runs do at a time, in few commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError

from agent_runtime.state.batch import DUPLICATE_KEY, Lanes, failure
from agent_runtime.state.connection import answering
from agent_runtime.state.records import ACTIVE, now

if TYPE_CHECKING:
    from collections.abc import Mapping


class New(NamedTuple):
    """A document that is to be added; `place` is its `_id`, or what else of it is unique and may be another's."""

    document: RawBSONDocument
    place: str


class Inserts(Lanes[New, bool]):
    """Adds documents."""

    async def add(self, document: Mapping[str, Any], unique: str = "") -> bool:
        """Whether the document is new, by its `_id` and by `unique`, where it has something else that is.

        Raises:
            UnavailableError: MongoDB can't be used; the document may have been added.
        """
        packed = bson.encode(document)
        return await self._ask(New(RawBSONDocument(packed), unique or str(document["_id"])), len(packed))

    def _place(self, asked: New) -> str:
        return asked.place

    async def _send(self, asked: list[New]) -> list[bool | Exception]:
        results: list[bool | Exception] = [True] * len(asked)
        async with answering():
            try:
                if len(asked) == 1:
                    await self._collection().insert_one(asked[0].document)
                else:
                    await self._collection().insert_many([one.document for one in asked], ordered=False)
            except DuplicateKeyError:
                return [False]
            except BulkWriteError as error:
                for told in (error.details or {}).get("writeErrors", ()):
                    results[told["index"]] = False if told.get("code") == DUPLICATE_KEY else failure(told)
        return results


class Waiting(Lanes[str, bool]):
    """Looks for runs that may begin or go on."""

    async def any(self, thread: str) -> bool:
        """Whether the thread has one.

        Raises:
            UnavailableError: MongoDB can't be used.
        """
        return await self._ask(thread)

    async def _send(self, asked: list[str]) -> list[bool]:
        async with answering():
            if len(asked) == 1:
                found = await self._collection().find_one({"thread": asked[0], **waiting()}, {"_id": 1})
                return [found is not None]
            # Grouped, since a thread may have very many.
            stages = [{"$match": {"thread": {"$in": asked}, **waiting()}}, {"$group": {"_id": "$thread"}}]
            there = {document["_id"] async for document in await self._collection().aggregate(stages)}
        return [thread in there for thread in asked]


def waiting() -> dict[str, Any]:
    """What is true of runs that may begin or go on now."""
    return {"status": {"$in": list(ACTIVE)}, "due": {"$not": {"$gt": now()}}}
