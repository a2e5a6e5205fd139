"""Items in MongoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.store.base import GetOp, Item, ListNamespacesOp, PutOp, SearchItem, SearchOp
from pymongo import ASCENDING, DESCENDING

from agent_runtime.errors import InputError, UnreadableError
from agent_runtime.items.base import LARGEST_FOUND, Items, SealedItem, expiry
from agent_runtime.items.match import check_filter, chosen, fits
from agent_runtime.runs.encode import dumps
from agent_runtime.state.connection import answering
from agent_runtime.state.records import now
from agent_runtime.state.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.asynchronous.collection import AsyncCollection

    from agent_runtime.state.checkpoints.seal import Sealer
    from agent_runtime.state.connection import MongoConnection

_END = "\x00"
"""Ends each label in a namespace's path; no label has it. So what begins with a path is below it."""
_AFTER = "\x01"
_WHOLE = {
    "key": {"$type": "string"},
    "namespace": {"$type": "array"},
    "created_at": {"$type": "date"},
    "updated_at": {"$type": "date"},
}
"""What is true of an item. A document that others wrote may lack something, and must not fail the search beside it."""
_SCANNED = 10_000
"""Items that one search looks at."""


class MongoItems(Items):
    """An agent's items in the collection `items`. An expired one is removed by the server, and never shown before."""

    def __init__(
        self, connection: MongoConnection, agent: str, sealer: Callable[[], Sealer | None] = lambda: None
    ) -> None:
        """`agent` is `namespace/name`; `sealer` is asked for when the agent starts, and may raise UnavailableError."""
        super().__init__()
        self._sealer = sealer
        self._vault = Vault()
        self._connection = connection
        self._agent = agent

    async def prepare(self) -> None:
        self._vault = Vault(self._sealer())
        async with answering():
            await self._items.create_index([("agent", ASCENDING), ("path", ASCENDING), ("updated_at", DESCENDING)])
            await self._items.create_index([("expires_at", ASCENDING)], expireAfterSeconds=0)

    async def fetch(self, asked: GetOp) -> Item | None:
        wanted = {"_id": self._id(asked.namespace, asked.key), **_living(), **_WHOLE}
        async with answering():
            document = await self._items.find_one(wanted)
            if document is None:
                return None
            if asked.refresh_ttl:
                await self._refresh([document])
        return Item(**_fields(document), value=self._value(document))

    async def find(self, asked: SearchOp, *, sealed: bool = False) -> list[SearchItem]:
        check_filter(asked.filter)
        if asked.limit <= 0:
            return []
        found: list[tuple[dict[str, Any], SearchItem]] = []
        size, skip = 0, asked.offset
        order = [("updated_at", DESCENDING), ("_id", ASCENDING)]
        async with answering():
            async with self._items.find(self._below(asked.namespace_prefix), sort=order, limit=_SCANNED) as cursor:
                async for document in cursor:
                    item = self._found(document)
                    fitting = (
                        sealed and not asked.filter if isinstance(item, SealedItem) else fits(item.value, asked.filter)
                    )
                    if not fitting:
                        continue
                    if skip:
                        skip -= 1
                        continue
                    found.append((document, item))
                    size += 0 if isinstance(item, SealedItem) else len(document["value"])
                    if size > LARGEST_FOUND:
                        raise InputError(
                            f"the items found have more than {LARGEST_FOUND >> 20} MiB: ask for fewer with `limit`"
                        )
                    if len(found) == asked.limit:
                        break
            if asked.refresh_ttl:
                await self._refresh([document for document, _ in found])
        return [item for _, item in found]

    async def keep(self, asked: PutOp) -> None:
        identifier = self._id(asked.namespace, asked.key)
        async with answering():
            if asked.value is None:
                await self._items.delete_one({"_id": identifier})
                return
            moment = now()
            changes = {
                "agent": self._agent,
                "path": _path(asked.namespace),
                "namespace": list(asked.namespace),
                "key": asked.key,
                # As text, since values may have keys and numbers that BSON does not take.
                "value": self._vault.close(dumps(asked.value).decode(), f"{identifier}|value"),
                "ttl": asked.ttl,
                "expires_at": expiry(asked.ttl, moment),
                "updated_at": moment,
            }
            # One that has expired is another item: its time of birth goes with it. One without such a time is none.
            other = [{"expires_at": {"$lte": moment}}, {"created_at": {"$not": {"$type": "date"}}}]
            await self._items.delete_one({"_id": identifier, "$or": other})
            update = {"$set": changes, "$setOnInsert": {"created_at": moment}}
            await self._items.update_one({"_id": identifier}, update, upsert=True)

    async def spaces(self, asked: ListNamespacesOp) -> list[tuple[str, ...]]:
        prefixes = [each.path for each in asked.match_conditions or () if each.match_type == "prefix"]
        fixed = next((tuple(path) for path in prefixes if "*" not in path), ())
        stages = [{"$match": self._below(fixed)}, {"$group": {"_id": "$path"}}]
        async with answering():
            paths = [document["_id"] async for document in await self._items.aggregate(stages)]
        # What was written by others may have no path.
        return chosen([tuple(path.split(_END)[:-1]) for path in paths if isinstance(path, str)], asked)

    @property
    def _items(self) -> AsyncCollection[dict[str, Any]]:
        return self._connection.database["items"]

    def _id(self, namespace: tuple[str, ...], key: str) -> str:
        return f"{self._agent}/{_path(namespace)}{key}"

    def _below(self, prefix: tuple[str, ...]) -> dict[str, Any]:
        """The filter of living items in a namespace and those below it."""
        wanted: dict[str, Any] = {"agent": self._agent, **_living(), **_WHOLE}
        if prefix:
            wanted["path"] = {"$gte": _path(prefix), "$lt": _path(prefix)[:-1] + _AFTER}
        return wanted

    def _value(self, document: dict[str, Any]) -> dict[str, Any]:
        return self._vault.open_object(document.get("value"), f"{document['_id']}|value")

    def _found(self, document: dict[str, Any]) -> SearchItem:
        try:
            return SearchItem(**_fields(document), value=self._value(document))
        except UnreadableError as error:
            return SealedItem(str(error), **_fields(document))

    async def _refresh(self, documents: list[dict[str, Any]]) -> None:
        moment = now()
        for document in documents:
            if document.get("ttl"):
                changes = {"expires_at": expiry(document["ttl"], moment)}
                await self._items.update_one({"_id": document["_id"]}, {"$set": changes})


def _fields(document: dict[str, Any]) -> dict[str, Any]:
    fields = {name: document[name] for name in ("key", "created_at", "updated_at")}
    return {**fields, "namespace": tuple(document["namespace"])}


def _living() -> dict[str, Any]:
    return {"$or": [{"expires_at": None}, {"expires_at": {"$gt": now()}}]}


def _path(namespace: tuple[str, ...]) -> str:
    return "".join(label + _END for label in namespace)
