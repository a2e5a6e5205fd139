"""Threads kept by langgraph-checkpoint-mongodb, taken over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ormsgpack
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pymongo import ASCENDING

from agent_runtime.state.checkpoints import values
from agent_runtime.state.checkpoints.frame import Frame
from agent_runtime.state.checkpoints.story import Episode
from agent_runtime.state.checkpoints.tail import Written
from agent_runtime.state.connection import answering

if TYPE_CHECKING:
    from pymongo.asynchronous.collection import AsyncCollection

    from agent_runtime.state.checkpoints.saver import MongoSaver


class Verbatim(SerializerProtocol):
    """LangGraph's MessagePack, where what stands for an object of some class stays as it is: no class is needed."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        if obj is None:
            return "null", b""
        if isinstance(obj, bytes):
            return "bytes", obj
        return "msgpack", ormsgpack.packb(obj, option=ormsgpack.OPT_NON_STR_KEYS)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        if data[0] != "msgpack":
            # Older forms, of which LangGraph knows which classes are safe.
            return JsonPlusSerializer().loads_typed(data)
        return ormsgpack.unpackb(data[1], ext_hook=ormsgpack.Ext, option=ormsgpack.OPT_NON_STR_KEYS)


@dataclass(frozen=True)
class Source:
    """Where the other checkpointer kept its threads. `prefix` begins the ids of those that are meant."""

    checkpoints: AsyncCollection[dict[str, Any]]
    writes: AsyncCollection[dict[str, Any]]
    prefix: str = ""


@dataclass
class Counts:
    """What a migration did, or would do."""

    threads: int = 0
    """Taken over."""
    checkpoints: int = 0
    writes: int = 0
    present: int = 0
    """Logs that were there already, from an earlier migration or since the thread went on."""
    failed: int = 0
    """Logs that could not be read."""


class Migration:
    """Takes over thread by thread. Each log is taken over whole or not at all, so that it can be begun again."""

    def __init__(self, source: Source, saver: MongoSaver, name: Callable[[str], str], *, dry: bool) -> None:
        """`name` gives the key under which a thread is kept from now on."""
        self._source = source
        self._saver = saver
        self._name = name
        self._dry = dry
        self._serde = Verbatim()
        self.counts = Counts()

    async def threads(self) -> AsyncIterator[str]:
        """The keys of the threads, each after it was taken over.

        Raises:
            UnavailableError: MongoDB can't be used.
        """
        last = self._source.prefix
        while (found := await self._next(last)) is not None:
            last = found
            if await self._take(found):
                self.counts.threads += 1
                yield self._name(found.removeprefix(self._source.prefix))

    async def _next(self, last: str) -> str | None:
        prefix = self._source.prefix
        wanted = {"thread_id": {"$gt": last}}
        async with answering():
            found = await self._source.checkpoints.find_one(wanted, {"thread_id": 1}, sort=[("thread_id", ASCENDING)])
        return found["thread_id"] if found and found["thread_id"].startswith(prefix) else None

    async def _take(self, thread: str) -> bool:
        async with answering():
            namespaces = await self._source.checkpoints.distinct("checkpoint_ns", {"thread_id": thread})
        # The root last: with it the thread is there.
        taken = [await self._take_log(thread, namespace) for namespace in sorted(namespaces, reverse=True)]
        return any(taken)

    async def _take_log(self, thread: str, namespace: str) -> bool:
        journal = self._saver.journal(self._name(thread.removeprefix(self._source.prefix)), namespace)
        if (await journal.current()).newest is not None:
            self.counts.present += 1
            return False
        teller, checkpoints, writes = journal.teller(), 0, 0
        try:
            async for episode in self._episodes(thread, namespace):
                teller.add(episode)
                checkpoints += 1
                writes += sum(len(written.writes) for written in episode.writes)
        except (ValueError, TypeError, KeyError, NotImplementedError):
            self.counts.failed += 1
            return False
        if not self._dry:
            await journal.take(teller.end())
        self.counts.checkpoints += checkpoints
        self.counts.writes += writes
        return True

    async def _episodes(self, thread: str, namespace: str) -> AsyncIterator[Episode]:
        log = {"thread_id": thread, "checkpoint_ns": namespace}
        async with answering():
            # By id: the newest one is the one of the highest id there.
            async for found in self._source.checkpoints.find(log, sort=[("checkpoint_id", ASCENDING)]):
                at = {**log, "checkpoint_id": found["checkpoint_id"]}
                written = await self._source.writes.find(at).to_list()
                yield self._episode(found, written)

    def _episode(self, found: dict[str, Any], written: list[dict[str, Any]]) -> Episode:
        checkpoint = self._serde.loads_typed((found["type"], found["checkpoint"]))
        channels = checkpoint.pop("channel_values")
        kept = {name: values.encode(value, self._serde) for name, value in channels.items()}
        versions = checkpoint["channel_versions"]
        frame = Frame(checkpoint, self._metadata(found["metadata"]), found.get("parent_checkpoint_id"))
        by_task: dict[tuple[str, str], list[tuple[int, str, values.Value]]] = {}
        for write in sorted(written, key=lambda one: one["idx"]):
            value = values.encode(self._serde.loads_typed((write["type"], write["value"])), self._serde)
            task = (write["task_id"], write.get("task_path") or "")
            by_task.setdefault(task, []).append((write["idx"], write["channel"], value))
        return Episode(
            frame,
            {name: value for name, value in kept.items() if name in versions},
            [Written(frame.id, task, path, writes) for (task, path), writes in by_task.items()],
        )

    def _metadata(self, kept: Any) -> Any:
        if isinstance(kept, dict):
            return {name: self._metadata(value) for name, value in kept.items()}
        return self._serde.loads_typed((kept[0], kept[1]))
