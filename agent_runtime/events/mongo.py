"""Events in MongoDB.

Collection `events` has a document for each event, with the names of those that have yet to get it (`pending`), until
nobody has; then only what tells its twins. `event_lanes` has one for each lane that is held or waits for another
attempt, `event_positions` one for each agent, and `dead_letters` what was given up.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING, ReturnDocument, UpdateOne

from agent_runtime.errors import UnavailableError, UnreadableError
from agent_runtime.events.event import Event
from agent_runtime.events.records import DeadLetter, Entry, Lane, Letter, SealedLetter
from agent_runtime.runs.encode import dumps
from agent_runtime.state.connection import answering
from agent_runtime.state.mongo.documents import Documents
from agent_runtime.state.records import now
from agent_runtime.state.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from pymongo.asynchronous.collection import AsyncCollection

    from agent_runtime.state.checkpoints.seal import Sealer
    from agent_runtime.state.connection import MongoConnection

EVENTS = "events"
_LANES = "event_lanes"
_POSITIONS = "event_positions"
_LETTERS = "dead_letters"
_LETTERS_KEPT = timedelta(days=30)
_POSITION_TRIES = 3
_PAGE = 1000

Document = dict[str, Any]


class MongoStorage(Documents):
    """An agent's events in the database that it shares with others."""

    def __init__(
        self, connection: MongoConnection, agent: str, life: float, sealer: Callable[[], Sealer | None] = lambda: None
    ) -> None:
        """`agent` is `namespace/name`; `life` is how long twins of an event are told, in seconds.

        `sealer` is asked for when the agent starts, and may raise UnavailableError.
        """
        super().__init__(connection, agent)
        self._sealer = sealer
        self._life = timedelta(seconds=life)

    async def prepare(self) -> None:
        self._vault = Vault(self._sealer())
        mine = ("agent", ASCENDING)
        async with answering():
            await self._events.create_index([mine, ("pending", ASCENDING), ("position", ASCENDING)])
            await self._events.create_index(
                [mine, ("pending", ASCENDING), ("lane", ASCENDING), ("position", ASCENDING)]
            )
            await self._events.create_index([mine, ("open", ASCENDING), ("owner", ASCENDING)])
            await self._events.create_index([("expires", ASCENDING)], expireAfterSeconds=0)
            await self._lanes.create_index([mine])
            await self._letters.create_index([mine, ("consumer", ASCENDING), ("_id", ASCENDING)])
            await self._letters.create_index([mine, ("died_at", ASCENDING)])
            await self._letters.create_index([("expires", ASCENDING)], expireAfterSeconds=0)

    async def add(self, entry: Entry, consumers: Sequence[str]) -> bool:
        name = self._key(entry.key)
        document = {**self._content(entry, await self._position(), name), "pending": list(consumers), "open": True}
        return await self._insert(EVENTS, {"_id": name, **document})

    async def backlog(self, owner: str | None = None) -> int:
        of = {} if owner is None else {"owner": owner}
        async with answering():
            return await self._events.count_documents({"agent": self._agent, "open": True, **of})

    async def lanes(self) -> list[Lane]:
        async with answering():
            return [_lane(document) async for document in self._lanes.find({"agent": self._agent})]

    async def waiting(
        self, consumer: str, besides: Collection[str], limit: int, *, without: Collection[str] = ()
    ) -> list[str]:
        wanted: Document = {"agent": self._agent, "pending": consumer}
        if besides:
            wanted["lane"] = {"$nin": list(besides)}
        if without:
            wanted["owner"] = {"$nin": list(without)}
        async with answering():
            found = self._events.find(wanted, {"lane": 1}, sort=[("position", ASCENDING)], limit=4 * limit)
            return list(dict.fromkeys([document["lane"] async for document in found]))[:limit]

    async def take(self, consumer: str, lane: str, token: str) -> Lane | None:
        taken = Lane(consumer, lane, token)
        kept = {"consumer": consumer, "lane": lane, "token": token, "beat": 0, "head": "", "attempts": 0, "due": None}
        if await self._insert(_LANES, {"_id": self._lane_key(taken), "agent": self._agent, **kept}):
            return taken
        free = {"_id": self._lane_key(taken), "token": "", "due": {"$not": {"$gt": now()}}}
        changes = {"$set": {"token": token, "due": None}}
        async with answering():
            found = await self._lanes.find_one_and_update(free, changes, return_document=ReturnDocument.AFTER)
        return _lane(found) if found else None

    async def renew(self, lanes: Sequence[Lane]) -> set[str]:
        keys = {self._lane_key(lane): lane.token for lane in lanes}
        places = sorted(keys.items())  # as all commands lock documents
        writes = [UpdateOne({"_id": key, "token": token}, {"$inc": {"beat": 1}}) for key, token in places]
        async with answering():
            await self._lanes.bulk_write(writes, ordered=False)
            found = self._lanes.find({"_id": {"$in": list(keys)}}, {"token": 1})
            return {document["token"] async for document in found} & set(keys.values())

    async def free(self, lane: Lane) -> None:
        async with answering():
            await self._lanes.delete_one({"_id": self._lane_key(lane), "token": lane.token})

    async def put_off(self, lane: Lane) -> None:
        kept = {"head": lane.head, "attempts": lane.attempts, "due": lane.due, "owner": lane.owner}
        changes = {"token": "", **kept}
        async with answering():
            await self._lanes.update_one({"_id": self._lane_key(lane), "token": lane.token}, {"$set": changes})

    async def pending(self, consumer: str, lane: str, limit: int) -> list[Entry]:
        wanted = {"agent": self._agent, "pending": consumer, "lane": lane}
        async with answering():
            found = self._events.find(wanted, sort=[("position", ASCENDING)], limit=limit)
            entries: list[Entry] = []
            async for document in found:
                try:
                    entries.append(self._entry(document))
                except UnreadableError:
                    if not entries:
                        raise
                    break  # it holds up none of those before it
            return entries

    async def done(self, entry: Entry, consumer: str) -> None:
        key = self._key(entry.key)
        async with answering():
            # One round trip where nobody else has yet to get it, which is nearly always so.
            if (await self._events.update_one({"_id": key, "pending": [consumer]}, self._closed())).matched_count:
                return
            left = await self._events.find_one_and_update(
                {"_id": key}, {"$pull": {"pending": consumer}}, {"pending": 1}, return_document=ReturnDocument.AFTER
            )
            if left is not None and not left["pending"]:
                await self._events.update_one({"_id": key, "pending": []}, self._closed())

    async def bury(self, letter: DeadLetter) -> None:
        name = self._key(letter.id)
        document = {
            **self._content(letter.entry, letter.entry.position, name),
            "consumer": letter.consumer,
            "error": letter.error,
            "attempts": letter.attempts,
            "died_at": letter.died_at,
            "expires": letter.died_at + _LETTERS_KEPT,
        }
        await self._insert(_LETTERS, {"_id": name, **document})
        await self.done(letter.entry, letter.consumer)

    async def letters(self, consumer: str | None, limit: int, after: str) -> list[Letter]:
        # Ids of the agent's own: `0` comes behind `/`.
        wanted: Document = {"agent": self._agent, "_id": {"$gt": self._key(after), "$lt": f"{self._agent}0"}}
        if consumer is not None:
            wanted["consumer"] = consumer
        async with answering():
            found = self._letters.find(wanted, sort=[("_id", ASCENDING)], limit=limit)
            return [self._letter(document) async for document in found]

    async def letter(self, identifier: str) -> Letter | None:
        async with answering():
            document = await self._letters.find_one({"_id": self._key(identifier)})
        return self._letter(document) if document else None

    async def letter_count(self) -> int:
        async with answering():
            return await self._letters.count_documents({"agent": self._agent})

    async def exhume(self, letter: DeadLetter) -> None:
        name = self._key(letter.entry.key)
        content = self._content(letter.entry, letter.entry.position, name)
        changes = {"$set": {**content, "open": True, "expires": None}, "$addToSet": {"pending": letter.consumer}}
        async with answering():
            await self._events.update_one({"_id": name}, changes, upsert=True)
            await self._letters.delete_one({"_id": self._key(letter.id)})

    async def discard(self, identifier: str) -> bool:
        async with answering():
            return bool((await self._letters.delete_one({"_id": self._key(identifier)})).deleted_count)

    async def trim(self, most: int) -> int:
        surplus = await self.letter_count() - most
        if surplus <= 0:
            return 0
        async with answering():
            order = [("died_at", ASCENDING)]
            found = self._letters.find({"agent": self._agent}, {"_id": 1}, sort=order, limit=min(surplus, _PAGE))
            oldest = [document["_id"] async for document in found]
            return (await self._letters.delete_many({"_id": {"$in": oldest}})).deleted_count

    async def forget(self, consumers: Collection[str], before: datetime) -> int:
        old = {"agent": self._agent, "open": True, "accepted_at": {"$lt": before}}
        async with answering():
            gone = set(await self._events.distinct("pending", old)) - set(consumers)
            for name in gone:
                await self._events.update_many({**old, "pending": name}, {"$pull": {"pending": name}})
            if gone:
                await self._events.update_many({**old, "pending": []}, self._closed())
        return len(gone)

    @property
    def _events(self) -> AsyncCollection[Document]:
        return self._db[EVENTS]

    @property
    def _lanes(self) -> AsyncCollection[Document]:
        return self._db[_LANES]

    @property
    def _letters(self) -> AsyncCollection[Document]:
        return self._db[_LETTERS]

    def _lane_key(self, lane: Lane) -> str:
        return self._key(f"{lane.consumer}/{lane.lane}")

    def _content(self, entry: Entry, position: int, name: str) -> Document:
        """The event as the document of this name has it."""
        return {
            "agent": self._agent,
            "lane": entry.lane,
            "position": position,
            # As text, since data may have keys and numbers that BSON does not take.
            "event": self._vault.close(dumps(entry.event.as_json).decode(), f"{name}|event"),
            "owner": entry.owner,
            "accepted_at": entry.accepted_at,
        }

    def _entry(self, document: Document) -> Entry:
        event = Event.of_json(self._vault.open_object(document.get("event"), f"{document['_id']}|event"))
        return Entry(event, document["owner"], int(document["position"]), document["accepted_at"])

    def _letter(self, document: Document) -> Letter:
        told = {name: document[name] for name in ("consumer", "error", "attempts", "died_at")}
        try:
            return DeadLetter(entry=self._entry(document), **told)
        except UnreadableError as error:
            identifier = document["_id"].removeprefix(self._key(""))
            plain = {name: document[name] for name in ("owner", "accepted_at")}
            return SealedLetter(id=identifier, unreadable=str(error), **told, **plain)

    def _closed(self) -> Document:
        """The update that leaves of an event what tells its twins."""
        return {
            "$set": {"open": False, "pending": [], "expires": now() + self._life},
            "$unset": {"event": "", "lane": "", "position": "", "owner": ""},
        }

    async def _position(self) -> int:
        """The next position: larger than all that were given before this was asked for."""
        positions = self._db[_POSITIONS]
        for _ in range(_POSITION_TRIES):
            async with answering():
                found = await positions.find_one_and_update(
                    {"_id": self._agent}, {"$inc": {"position": 1}}, return_document=ReturnDocument.AFTER
                )
            if found is not None:
                return int(found["position"])
            # From the time on, so that after a loss of this document no position comes again.
            await self._insert(
                _POSITIONS, {"_id": self._agent, "agent": self._agent, "position": time.time_ns() // 1000}
            )
        raise UnavailableError("the place of an event in the log can't be found out")


def _lane(document: Document) -> Lane:
    return Lane(**{name: document[name] for name in Lane.__dataclass_fields__ if name in document})
