"""Segments and blobs of one log."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import ormsgpack
from bson import Binary
from pymongo import DESCENDING
from pymongo.errors import BulkWriteError

from agent_runtime.errors import AgentError, StateLostError, UnavailableError
from agent_runtime.state.checkpoints import chapter, records, values
from agent_runtime.state.checkpoints.chapter import Chapter, Write
from agent_runtime.state.checkpoints.frame import Frame, Ref, load
from agent_runtime.state.checkpoints.records import CheckpointRecord, blobs_of
from agent_runtime.state.connection import answering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from langgraph.checkpoint.serde.base import SerializerProtocol
    from pymongo.asynchronous.collection import AsyncCollection

    from agent_runtime.state.checkpoints.keys import LogKey
    from agent_runtime.state.checkpoints.seal import Sealer
    from agent_runtime.state.checkpoints.values import Value

CHUNK = 4 << 20
"""Bytes of a blob that one document holds."""
_PAGE = 8
_AT_ONCE = 16 << 20
_DUPLICATE_KEY = 11000


class Archive:
    """Reads and writes what of a log stands outside of its head, and keeps what it has read."""

    def __init__(
        self,
        key: LogKey,
        collection: Callable[[], AsyncCollection[dict[str, Any]]],
        sealer: Sealer,
        serde: SerializerProtocol,
    ) -> None:
        self._key = key
        self._collection = collection
        self._sealer = sealer
        self._serde = serde
        self.floor: int | None = None
        """That of the head which is read from."""
        self.chapters: dict[int, Chapter] = {}
        """By segment; 0 is the head, which is set from outside."""
        self._blobs: dict[str, bytes] = {}
        self._values: dict[tuple[int, int, str], Value] = {}

    async def fetch(self, refs: Iterable[Ref], segments: Iterable[int] = (), writes: Iterable[Write] = ()) -> None:
        """Reads what it takes to tell these values, in one query where nothing is missing behind it."""
        refs = list(refs)
        wanted = {*segments, *(end for ref in refs for end in ref.segments)} - self.chapters.keys()
        blobs = {blob for ref in refs for blob in ref.blobs}
        blobs |= {write.value for write in writes if not isinstance(write.value, bytes)}
        blobs = {blob for blob in blobs if blob[0] not in self._blobs}
        ids = [self._key.segment(end) for end in sorted(wanted)]
        ids += [self._key.chunk(digest, at) for digest, count in sorted(blobs) for at in range(count)]
        if not ids:
            return
        async with answering():
            found = {doc["_id"]: doc async for doc in self._collection().find({"_id": {"$in": ids}})}
        if missing := [name for name in ids if name not in found]:
            raise await self._missing(len(missing))
        for end in wanted:
            self._take(found[self._key.segment(end)])
        for digest, count in blobs:
            names = [self._key.chunk(digest, at) for at in range(count)]
            self._blobs[digest] = b"".join(self._sealer.open(found[name]["data"], name) for name in names)

    async def _missing(self, count: int) -> AgentError:
        """Why documents are not there: they go only where the log is rewritten, which its floor tells."""
        async with answering():
            head = await self._collection().find_one({"_id": self._key.head}, {"floor": 1})
        if head is None or head["floor"] != self.floor:
            return UnavailableError("the thread's checkpoints were rewritten or removed while they were read")
        return StateLostError(
            f"{count} documents of this thread's checkpoints are missing in MongoDB, such as after a partial restore: "
            "restore them from a backup, or delete the thread"
        )

    async def older(self, than: int, floor: int) -> list[Chapter]:
        """The next segments below a number, the newest first."""
        ids = {**self._key.segments, "$lt": self._key.segment(than)}
        return await self._find({"_id": ids, "end": {"$gt": floor}}, _PAGE)

    async def about(self, checkpoint: str, floor: int) -> list[Chapter]:
        """The segments that say something of a checkpoint, the newest first."""
        return await self._find({"_id": self._key.segments, "end": {"$gt": floor}, "ids": checkpoint}, 0)

    async def _find(self, wanted: dict[str, Any], limit: int) -> list[Chapter]:
        async with answering():
            # By the namespace too: the range has those that begin with this one's name.
            wanted = {**wanted, "namespace": self._key.namespace}
            found = self._collection().find(wanted, sort=[("_id", DESCENDING)], limit=limit)
            return [self._take(document) async for document in found]

    def value(self, channel: str, record: int, segment: int) -> Value:
        """A channel's value as it was written in a record; what it takes must have been fetched."""
        at = (segment, record)
        changes: list[tuple[tuple[int, int], bytes]] = []
        while (known := self._values.get((*at, channel))) is None:
            packed = self._packed(self._record(at).values[channel])
            changes.append((at, packed))
            base = values.base_of(packed)
            if base is None:
                break
            at = (base[1] or at[0], base[0])
        for place, packed in reversed(changes):
            known = values.unpack(packed, lambda *_, old=known: old)
            self._values[*place, channel] = known
        assert known is not None  # noqa: S101 - either known from the start, or made of at least one change
        return known

    def packed(self, write: Write) -> bytes:
        """A write's value as it was packed; its blob must have been fetched."""
        return self._packed(write.value)

    async def add(self, end: int, segment: Mapping[str, Any]) -> None:
        """Writes a segment. Twice is once: what is archived as the same segment is the same."""
        name = self._key.segment(end)
        document = {"agent": self._key.agent, "namespace": self._key.namespace, "end": end, **segment}
        document["data"] = Binary(self._sealer.seal(document["data"], name))
        async with answering():
            await self._collection().replace_one({"_id": name}, document, upsert=True)

    async def add_blobs(self, blobs: Mapping[str, bytes]) -> None:
        """Writes blobs, each in as many chunks as it takes."""
        documents, size = [], 0
        for digest, packed in blobs.items():
            for at, part in enumerate(cut(packed)):
                name = self._key.chunk(digest, at)
                # Each for itself: of two who write the same blob at a time, either may have written any chunk.
                data = Binary(self._sealer.seal(part, name))
                whose = {"agent": self._key.agent, "namespace": self._key.namespace, "blob": digest}
                documents.append({"_id": name, **whose, "data": data})
                size += len(part)
                if size >= _AT_ONCE:
                    await self._insert(documents)
                    documents, size = [], 0
        if documents:
            await self._insert(documents)

    async def clear(self, floor: int, blobs: Sequence[str]) -> None:
        """Removes the segments up to one, and all blobs but these."""
        collection, own = self._collection(), {"namespace": self._key.namespace}
        async with answering():
            await collection.delete_many({"_id": self._key.segments, **own, "end": {"$lte": floor}})
            await collection.delete_many({"_id": self._key.blobs, **own, "blob": {"$nin": list(blobs)}})

    async def _insert(self, documents: list[dict[str, Any]]) -> None:
        try:
            async with answering():
                await self._collection().insert_many(documents, ordered=False)
        except UnavailableError as error:
            told = error.__cause__.details if isinstance(error.__cause__, BulkWriteError) else None
            # What is there already has the same content: its name says so.
            if not told or any(failed["code"] != _DUPLICATE_KEY for failed in told["writeErrors"]):
                raise

    def _take(self, document: Mapping[str, Any]) -> Chapter:
        end = document["end"]
        if end not in self.chapters:
            base, kept = ormsgpack.unpackb(self._sealer.open(document["data"], document["_id"]))
            decoded = load(base, None, self._serde) if base else None
            opened = [(number, records.unpack(record)) for number, record in kept]
            self.chapters[end] = chapter.read(end, decoded, opened, self._serde)
        return self.chapters[end]

    def _record(self, at: tuple[int, int]) -> CheckpointRecord:
        record = self.chapters[at[0]].records[at[1]]
        if not isinstance(record, CheckpointRecord):
            raise TypeError(f"record {at[1]} is no checkpoint")
        return record

    def _packed(self, stored: bytes | tuple[str, int]) -> bytes:
        return stored if isinstance(stored, bytes) else self._blobs[stored[0]]


def segment(head: Chapter, base: bytes | None, plain: Mapping[int, bytes]) -> dict[str, Any]:
    """What is written of a head that is archived."""
    return {
        "ids": head.ids,
        "runs": runs(head),
        "blobs": sorted({digest for record in head.records.values() for digest, _ in blobs_of(record)}),
        "data": ormsgpack.packb([base, list(plain.items())]),
    }


def run_of(frame: Frame | None) -> str | None:
    """The run that made a checkpoint."""
    found = frame.metadata.get("run_id") if frame else None
    return None if found is None else str(found)


def runs(head: Chapter) -> list[str]:
    """The runs that made the checkpoints of a chapter."""
    return sorted({run for frame in head.frames.values() if (run := run_of(frame))})


def cut(packed: bytes) -> list[bytes]:
    """The chunks of a blob."""
    return [packed[at : at + CHUNK] for at in range(0, len(packed), CHUNK)]


def digest_of(packed: bytes, key: bytes) -> str:
    """Names a blob by its content."""
    return hashlib.blake2b(packed, digest_size=16, key=key).hexdigest()
