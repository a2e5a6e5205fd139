"""Collection `event_waits`: who waits for events, and events that nobody waits for yet."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pymongo import ASCENDING

from agent_runtime.errors import UnreadableError
from agent_runtime.events.event import Event
from agent_runtime.events.records import Entry, digest
from agent_runtime.events.wait import Wait
from agent_runtime.runs.encode import dumps
from agent_runtime.state.connection import answering
from agent_runtime.state.mongo.documents import Documents
from agent_runtime.state.records import now
from agent_runtime.state.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime

    from agent_runtime.state.checkpoints.seal import Sealer
    from agent_runtime.state.connection import MongoConnection

T = TypeVar("T")

WAITS = "event_waits"
_EARLY = 200
"""Early events of its type and subject that a wait looks at."""
_PLAIN = ("key", "thread_id", "step", "interrupt_id", "type", "source", "subject", "filter", "due")


class MongoWaits(Documents):
    """An agent's waits in the database that it shares with others.

    What can't be read, such as without its key, is passed by: one such wait holds up no event for the others.
    """

    def __init__(
        self, connection: MongoConnection, agent: str, life: float, sealer: Callable[[], Sealer | None] = lambda: None
    ) -> None:
        """`agent` is `namespace/name`; `life` is how long it is known what a wait got, in seconds.

        `sealer` is asked for when the agent starts, and may raise UnavailableError.
        """
        super().__init__(connection, agent)
        self._sealer = sealer
        self._life = timedelta(seconds=life)

    async def prepare(self) -> None:
        self._vault = Vault(self._sealer())
        mine = ("agent", ASCENDING)
        async with answering():
            waits = self._db[WAITS]
            await waits.create_index([mine, ("got", ASCENDING), ("type", ASCENDING), ("subject", ASCENDING)])
            await waits.create_index([mine, ("early_type", ASCENDING), ("position", ASCENDING)])
            await waits.create_index([("expires", ASCENDING)], expireAfterSeconds=0)

    async def begin(self, wait: Wait) -> Wait:
        key = self._wait_key(wait.key)
        document = {name: getattr(wait, name) for name in _PLAIN} | {
            "_id": key,
            "agent": self._agent,
            "bound": self._vault.close(dumps(wait.bound).decode(), f"{key}|bound"),
            "got": "",
            "entry": None,
            "expires": wait.due + self._life if wait.due else None,
        }
        if await self._insert(WAITS, document):
            return wait
        async with answering():
            found = await self._db[WAITS].find_one({"_id": key})
        return self._wait(found) if found else wait

    async def end(self, key: str) -> None:
        async with answering():
            await self._db[WAITS].delete_one({"_id": self._wait_key(key), "got": ""})

    async def waiting(self, event: Event, types: Collection[str]) -> list[Wait]:
        wanted = {
            "agent": self._agent,
            "got": "",
            "type": {"$in": list(types)},
            "subject": {"$in": list({None, event.subject})},
        }
        return await self._find(wanted)

    async def given(self, entry: Entry) -> list[Wait]:
        return await self._find({"agent": self._agent, "got": entry.key})

    async def give(self, wait: Wait, entry: Entry) -> bool:
        key = self._wait_key(wait.key)
        changes = {"got": entry.key, "entry": self._written(entry, key), "expires": now() + self._life}
        async with answering():
            wanted = {"_id": key, "got": ""}
            return bool((await self._db[WAITS].update_one(wanted, {"$set": changes})).matched_count)

    async def keep_early(self, entry: Entry, until: datetime) -> None:
        key = self._early_key(entry)
        document = {
            "_id": key,
            "agent": self._agent,
            "early_type": entry.event.type,
            "early_subject": entry.event.subject,
            "position": entry.position,
            "entry": self._written(entry, key),
            "expires": until,
        }
        await self._insert(WAITS, document)

    async def early(self, wait: Wait) -> list[Entry]:
        wanted: dict[str, Any] = {"agent": self._agent, "early_type": wait.type, "expires": {"$gt": now()}}
        if wait.type.endswith("*"):
            # Types are ASCII or at least no more than any text: what begins so is below this.
            wanted["early_type"] = {"$gte": wait.type[:-1], "$lt": wait.type[:-1] + "\uffff"}
        if wait.subject is not None:
            wanted["early_subject"] = wait.subject
        async with answering():
            found = self._db[WAITS].find(wanted, sort=[("position", ASCENDING)], limit=_EARLY)
            kept = [document async for document in found]
        return list(_readable(lambda one: self._read(one["entry"], one["_id"]), kept))

    async def drop_early(self, entry: Entry) -> None:
        async with answering():
            await self._db[WAITS].delete_one({"_id": self._early_key(entry)})

    async def _find(self, wanted: dict[str, Any]) -> list[Wait]:
        async with answering():
            found = [document async for document in self._db[WAITS].find(wanted)]
        return list(_readable(self._wait, found))

    def _wait_key(self, key: str) -> str:
        return self._key(f"wait/{digest(key)}")

    def _early_key(self, entry: Entry) -> str:
        return self._key(f"early/{entry.key}")

    def _wait(self, document: dict[str, Any]) -> Wait:
        key = document["_id"]
        fields = {name: document[name] for name in _PLAIN}
        entry = self._read(document["entry"], key) if document["entry"] else None
        bound = self._vault.open_object(document.get("bound"), f"{key}|bound")
        return Wait(**fields, bound=bound, entry=entry)

    def _written(self, entry: Entry, key: str) -> dict[str, Any]:
        """The event as the document of this key has it."""
        event = self._vault.close(dumps(entry.event.as_json).decode(), f"{key}|event")
        return {"event": event, "owner": entry.owner, "position": entry.position, "accepted_at": entry.accepted_at}

    def _read(self, document: dict[str, Any], key: str) -> Entry:
        event = Event.of_json(self._vault.open_object(document.get("event"), f"{key}|event"))
        return Entry(event, document["owner"], int(document["position"]), document["accepted_at"])


def _readable(read: Callable[[dict[str, Any]], T], documents: Iterable[dict[str, Any]]) -> Iterator[T]:
    for document in documents:
        with suppress(UnreadableError):
            yield read(document)
