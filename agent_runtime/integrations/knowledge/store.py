"""Passages in MongoDB, each with its vector, in a collection of the agent's own.

A vector index is for vectors of one length, and lengths follow from an agent's embedding, so agents don't share one.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import structlog
from pymongo import DeleteMany, ReplaceOne
from pymongo.errors import OperationFailure

from agent_runtime.integrations.knowledge.scan import pack
from agent_runtime.state.connection import answering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from pymongo.asynchronous.collection import AsyncCollection

    from agent_runtime.integrations.knowledge.embedding import Vector
    from agent_runtime.integrations.knowledge.scan import Candidate
    from agent_runtime.state.connection import MongoConnection

log = structlog.get_logger()

MOST_PASSAGES = 50_000
"""Passages that one owner may have; without a vector index each search compares them all."""
_LONGEST_INDEXED = 2000
"""Dimensions that DocumentDB's index takes."""
_VECTOR_INDEX = "apm_vector"
_CANDIDATES = 500
_MOST_CANDIDATES = 1000
"""Vectors that an index looks at; fewer are quicker and miss more, and DocumentDB takes no more."""
_AT_ONCE = 200

Index = Literal["none", "cosmosSearch", "vectorSearch"]


@dataclass(frozen=True)
class Passage:
    """A piece of a document, with its vector."""

    owner: str
    document: str
    number: int
    text: str
    vector: Vector
    title: str | None
    source: str | None
    metadata: dict[str, str]


@dataclass(frozen=True)
class Kind:
    """What the vectors of the collection are, and how they are searched."""

    embedding: str
    dimensions: int
    index: Index


class PassageStore:
    """What one agent's knowledge base keeps. Every method raises UnavailableError."""

    def __init__(self, connection: MongoConnection, agent: str) -> None:
        """`agent` is `namespace/name`."""
        self._connection = connection
        self._agent = agent

    async def kind(self) -> Kind | None:
        """None while nothing was ever kept."""
        async with answering():
            found = await self._collection.find_one({"_id": self._kind_id})
        return Kind(found["embedding"], found["dimensions"], found["index"]) if found else None

    async def begin(self, embedding: str, dimensions: int) -> Kind:
        """Makes the collection ready for vectors of an embedding; those of another one are left out of searches."""
        async with answering():
            await self._collection.create_index([("owner", 1), ("document", 1)], name="apm_document")
            # DocumentDB's vector index takes a filter only by a field with an index of its own.
            await self._collection.create_index([("owner", 1)], name="apm_owner")
            await self._collection.update_many(
                {"embedding": {"$exists": True, "$ne": embedding}, "_id": {"$ne": self._kind_id}},
                {"$unset": {"vector": ""}},
            )
            await self._drop_index()
            kind = Kind(embedding, dimensions, await self._make_index(dimensions))
            await self._collection.replace_one(
                {"_id": self._kind_id}, {"_id": self._kind_id, "agent": self._agent, **vars(kind)}, upsert=True
            )
        log.info("knowledge base is ready for documents", **vars(kind))
        return kind

    async def put(self, kind: Kind, passages: Sequence[Passage], now: datetime) -> None:
        """Keeps passages, in place of those of the same document and number."""
        changes = [ReplaceOne({"_id": self._id(each)}, self._record(each, kind, now), upsert=True) for each in passages]
        async with answering():
            await self._collection.bulk_write(changes, ordered=False)

    async def trim(self, owner: str, counts: Mapping[str, int]) -> None:
        """Forgets what documents had beyond so many passages."""
        changes = [
            DeleteMany({"owner": owner, "document": document, "number": {"$gte": count}})
            for document, count in counts.items()
        ]
        if changes:
            async with answering():
                await self._collection.bulk_write(changes, ordered=False)

    async def count(self, owner: str, besides: Sequence[str]) -> int:
        """How many passages an owner has, besides those of some documents."""
        async with answering():
            return await self._collection.count_documents({"owner": owner, "document": {"$nin": list(besides)}})

    async def remove(self, owner: str, document: str) -> bool:
        """Forgets a document; whether it was there."""
        async with answering():
            result = await self._collection.delete_many({"owner": owner, "document": document})
        return result.deleted_count > 0

    async def documents(self, owners: Sequence[str], limit: int, offset: int) -> list[dict[str, Any]]:
        """The first passages of documents, by id."""
        shown = ("owner", "document", "title", "source", "metadata", "updated_at", "embedding")
        async with answering():
            cursor = self._collection.find({"owner": {"$in": list(owners)}, "number": 0}, shown)
            return await cursor.sort([("document", 1), ("owner", 1)]).skip(offset).limit(limit).to_list()

    async def by_index(self, wanted: Vector, owners: Sequence[str], limit: int) -> list[Candidate]:
        """What the server's vector index finds: nearly always the nearest ones, and perhaps fewer than there are."""
        stage = {
            "index": _VECTOR_INDEX,
            "path": "vector",
            "queryVector": list(wanted),
            "numCandidates": min(_MOST_CANDIDATES, max(_CANDIDATES, limit * 20)),
            "limit": limit,
            "filter": {"owner": {"$in": list(owners)}},
        }
        async with answering():
            try:
                cursor = await self._collection.aggregate([{"$vectorSearch": stage}, {"$project": {"packed": 1}}])
                found = await cursor.to_list()
            except OperationFailure as error:  # such as of an index that a restore did not bring back
                log.warning("the vector index can't be used, so all vectors are compared", code=error.code)
                return []
        return [(each["_id"], each["packed"]) for each in found]

    async def batches(
        self, kind: Kind, owners: Sequence[str], metadata: dict[str, str]
    ) -> AsyncIterator[list[Candidate]]:
        """All vectors of these owners whose documents have this metadata."""
        wanted = {"owner": {"$in": list(owners)}, "embedding": kind.embedding}
        wanted |= {f"metadata.{name}": value for name, value in metadata.items()}
        async with answering():
            cursor = self._collection.find(wanted, {"packed": 1}, batch_size=_AT_ONCE).limit(MOST_PASSAGES)
            while batch := await cursor.to_list(_AT_ONCE):
                yield [(each["_id"], each["packed"]) for each in batch]

    async def passages(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Passages by their ids."""
        async with answering():
            found = await self._collection.find({"_id": {"$in": list(names)}}, {"packed": 0, "vector": 0}).to_list()
        return {each["_id"]: each for each in found}

    async def _drop_index(self) -> None:
        """One for vectors of another length has the same name."""
        with suppress(OperationFailure):
            await self._collection.drop_index(_VECTOR_INDEX)
        with suppress(OperationFailure):
            await self._collection.drop_search_index(_VECTOR_INDEX)

    async def _make_index(self, dimensions: int) -> Index:
        """An index of the server's own, where it has one: of DocumentDB (FerretDB 2, Azure), or of Atlas Search."""
        options = {"kind": "vector-hnsw", "similarity": "COS", "dimensions": dimensions, "m": 16, "efConstruction": 64}
        index = {"name": _VECTOR_INDEX, "key": {"vector": "cosmosSearch"}, "cosmosSearchOptions": options}
        if dimensions <= _LONGEST_INDEXED:
            with suppress(OperationFailure):
                await self._connection.database.command({"createIndexes": self._collection.name, "indexes": [index]})
                return "cosmosSearch"
        vector = {"type": "vector", "path": "vector", "numDimensions": dimensions, "similarity": "cosine"}
        fields = [vector, {"type": "filter", "path": "owner"}]
        search = {"name": _VECTOR_INDEX, "type": "vectorSearch", "definition": {"fields": fields}}
        with suppress(OperationFailure):
            await self._connection.database.command({"createSearchIndexes": self._collection.name, "indexes": [search]})
            return "vectorSearch"
        return "none"

    @property
    def _collection(self) -> AsyncCollection[dict[str, Any]]:
        return self._connection.database[f"knowledge_{self._agent.replace('/', '_')}"]

    @property
    def _kind_id(self) -> str:
        return f"{self._agent}/"

    def _id(self, passage: Passage) -> str:
        return f"{self._agent}/{passage.owner}/{passage.document}/{passage.number}"

    def _record(self, passage: Passage, kind: Kind, now: datetime) -> dict[str, Any]:
        record = {
            "_id": self._id(passage),
            "agent": self._agent,
            "owner": passage.owner,
            "document": passage.document,
            "number": passage.number,
            "text": passage.text,
            "title": passage.title,
            "source": passage.source,
            "metadata": passage.metadata,
            "embedding": kind.embedding,
            "packed": pack(passage.vector),
            "updated_at": now,
        }
        return record if kind.index == "none" else record | {"vector": list(passage.vector)}
