from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_runtime.errors import CallError, CallErrorKind, ConflictError, NotFoundError
from agent_runtime.integrations import task
from agent_runtime.integrations.knowledge.passages import passages
from agent_runtime.integrations.knowledge.scan import cosines, nearest
from agent_runtime.integrations.knowledge.store import MOST_PASSAGES, Kind, Passage
from agent_runtime.integrations.knowledge_base import Result, Results, Search
from agent_runtime.state.records import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_runtime.integrations.knowledge.document import Document
    from agent_runtime.integrations.knowledge.embedding import Embedding, Vector
    from agent_runtime.integrations.knowledge.store import PassageStore
    from agent_runtime.integrations.operation import A, Arguments, Operation

EVERYBODY = "*"
"""Owner of the documents that all find."""

_AT_ONCE = 100
"""Passages that are embedded and written at a time."""


class KnowledgeBase:
    """The knowledge base of an agent in its own MongoDB.

    Documents belong to who loaded them, and are found by their runs and searches alone; those of `EVERYBODY` by all.
    """

    def __init__(self, store: PassageStore, embedding: Embedding) -> None:
        self._store = store
        self._embedding = embedding
        self._kind: Kind | None = None

    async def perform(self, operation: Operation[A], arguments: Arguments, key: str) -> A:  # noqa: ARG002 - of writes
        """Searches on behalf of the run that asks; raises CallError or UnavailableError."""
        if not isinstance(arguments, Search):
            raise CallError(CallErrorKind.REFUSED, f"the agent's own knowledge base can't do {operation.name}")
        results = await self.search(arguments, task.owner())
        return operation.answer.model_validate(Results(results=results).model_dump())

    async def search(self, asked: Search, owner: str | None) -> list[Result]:
        """The passages that fit best, among those of an owner and of everybody.

        Raises:
            CallError: The model that embeds texts failed.
            ConflictError: The documents were embedded in another way than the question would be.
            UnavailableError: MongoDB can't be used.
        """
        kind = await self._store.kind()
        if kind is None:
            return []
        if kind.embedding != self._embedding.name:
            raise ConflictError(
                f"the documents were embedded by {kind.embedding}, and the question would be embedded by "
                f"{self._embedding.name}: load them again"
            )
        owners = [EVERYBODY] if owner is None else [EVERYBODY, owner]
        (wanted,) = await self._embedding.vectors([asked.query])
        found = await self._nearest(kind, wanted, owners, asked)
        records = await self._store.passages([name for name, _ in found])
        # One that was replaced meanwhile is left out.
        return [_result(records[name], score) for name, score in found if name in records]

    async def load(self, documents: Iterable[Document], owner: str) -> int:
        """Keeps documents, in place of those of the same ids, and returns the number of their passages.

        What fails in between may have kept some of them; loading again is safe.

        Raises:
            CallError: The model that embeds texts failed.
            ConflictError: The owner would have too much; nothing was kept.
            UnavailableError: MongoDB can't be used.
        """
        pieces = {each.id: (each, passages(each.text)) for each in documents}
        counts = {name: len(texts) for name, (_, texts) in pieces.items()}
        if await self._store.count(owner, besides=list(counts)) + sum(counts.values()) > MOST_PASSAGES:
            raise ConflictError(f"an owner may have {MOST_PASSAGES} passages: remove documents first")
        waiting = [(document, number, text) for document, texts in pieces.values() for number, text in enumerate(texts)]
        # A vector takes much more room than its text, so they are not all made at once.
        for start in range(0, len(waiting), _AT_ONCE):
            await self._keep(waiting[start : start + _AT_ONCE], owner)
        await self._store.trim(owner, counts)
        return len(waiting)

    async def _keep(self, pieces: Sequence[tuple[Document, int, str]], owner: str) -> None:
        vectors = await self._embedding.vectors([_embedded(document, text) for document, _, text in pieces])
        kind = await self._ready(len(vectors[0]))
        kept = [
            _passage(document, number, text, vector, owner)
            for (document, number, text), vector in zip(pieces, vectors, strict=True)
        ]
        await self._store.put(kind, kept, now())

    async def remove(self, document: str, owner: str) -> None:
        """Forgets a document. Raises NotFoundError if the owner has none of this id."""
        if not await self._store.remove(owner, document):
            raise NotFoundError(f"there is no document {document}")

    async def documents(self, owner: str | None, limit: int, offset: int) -> list[dict[str, Any]]:
        """What an owner and everybody have, by id."""
        owners = [EVERYBODY] if owner is None else [EVERYBODY, owner]
        return [
            {
                "id": each["document"],
                "title": each["title"],
                "source": each["source"],
                "metadata": each["metadata"],
                "shared": each["owner"] == EVERYBODY,
                "searchable": each["embedding"] == self._embedding.name,
                "updated_at": each["updated_at"],
            }
            for each in await self._store.documents(owners, limit, offset)
        ]

    async def _ready(self, dimensions: int) -> Kind:
        kind = self._kind or await self._store.kind()
        if kind is None or (kind.embedding, kind.dimensions) != (self._embedding.name, dimensions):
            kind = await self._store.begin(self._embedding.name, dimensions)
        self._kind = kind
        return kind

    async def _nearest(
        self, kind: Kind, wanted: Vector, owners: Sequence[str], asked: Search
    ) -> list[tuple[str, float]]:
        if kind.index != "none" and not asked.filter:
            found = await self._store.by_index(wanted, owners, asked.limit)
            if len(found) >= asked.limit:
                scores = cosines(wanted, [packed for _, packed in found])
                names = (name for name, _ in found)
                return sorted(zip(names, scores, strict=True), key=lambda each: each[1], reverse=True)
        # An index passes over some where few of its vectors are of these owners.
        return await nearest(wanted, self._store.batches(kind, owners, asked.filter), asked.limit)


def _embedded(document: Document, text: str) -> str:
    return f"{document.title}\n{text}" if document.title else text


def _passage(document: Document, number: int, text: str, vector: Vector, owner: str) -> Passage:
    return Passage(owner, document.id, number, text, vector, document.title, document.source, dict(document.metadata))


def _result(record: dict[str, Any], score: float) -> Result:
    return Result(
        id=record["document"],
        text=record["text"],
        score=round(score, 4),
        title=record["title"],
        source=record["source"],
        metadata=record["metadata"],
    )
