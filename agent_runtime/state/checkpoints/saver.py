from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pymongo import DeleteMany

from agent_runtime.state import fence
from agent_runtime.state.batch import Changes, Reads
from agent_runtime.state.checkpoints import chapter, keys, probe, story, values
from agent_runtime.state.checkpoints.blocking import BlockingSaver
from agent_runtime.state.checkpoints.frame import Frame
from agent_runtime.state.checkpoints.history import History
from agent_runtime.state.checkpoints.journal import Journal
from agent_runtime.state.checkpoints.keys import COLLECTION, LogKey
from agent_runtime.state.checkpoints.options import Options
from agent_runtime.state.checkpoints.seal import Sealer
from agent_runtime.state.checkpoints.site import Site
from agent_runtime.state.checkpoints.tail import Checkpointed, Tail, Written
from agent_runtime.state.connection import answering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        DeltaChannelHistory,
        PendingWrite,
    )
    from pymongo.asynchronous.collection import AsyncCollection

    from agent_runtime.state.connection import MongoConnection

_REMEMBERED = 16 << 20
"""Bytes of logs' newest parts that are kept in memory, so that a run reads them once."""
_LANES = 2
"""Commands of a kind that are under way at a time."""
_GROWING = (dict, list)
_MOST_JOURNALS = 1000
_LOOKED_AT = 16
"""Their bytes are counted when so many logs were begun, and a quarter of those that are known: it takes all of them."""


class MongoSaver(BlockingSaver):
    """Keeps an agent's checkpoints in MongoDB."""

    def __init__(self, connection: MongoConnection, agent: str, options: Options | None = None) -> None:
        """`agent` is `namespace/name`, and keeps its threads apart from those of others in the same database."""
        super().__init__(serde=JsonPlusSerializer())
        self._agent = agent
        self._connection = connection
        get = self._collection
        self._options = options or Options()
        # The keys are read when the checkpointer starts.
        sealer = Sealer(self._options.compress_above)
        keep, written = self._options.keep, connection.metrics.checkpoint_bytes
        self._site = Site(get, Changes(get, _LANES), Reads(get, _LANES), sealer, self.serde, keep, written)
        self._journals: OrderedDict[LogKey, Journal] = OrderedDict()
        self._made = 0

    async def start(self) -> None:
        """Has the synchronous methods use the loop that runs now, and tries the keys.

        Raises:
            UnavailableError: MongoDB can't be used, or checkpoints there are encrypted with other keys.
        """
        self._loop = asyncio.get_running_loop()
        self._site = replace(self._site, sealer=self._options.sealer())
        await probe.check(self._collection(), self._agent, self._site.sealer)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        journal = self._journal(config)
        tail = await journal.current()
        name = get_checkpoint_id(config)
        if tail.newest is None:
            return None
        history = self._history(journal, tail)
        frame = tail.newest if name in {None, tail.newest.id} else await history.frame(str(name))
        if frame is None or frame.hidden:
            return None
        return await self._tuple(journal.key, frame, await history.writes(frame.id), tail, history)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - named by the base class
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        only = get_checkpoint_id(config) if config else None
        cursor = get_checkpoint_id(before) if before else None
        left = limit
        for key in await self._logs(config):
            journal = self._journal_of(key)
            tail = await journal.current()
            history = self._history(journal, tail)
            at = await history.frame(cursor) if cursor else None
            passed = at is None
            async for frame in history.frames():
                if left is not None and left <= 0:
                    return
                if not passed:
                    # In the order of the log: the clocks that ids are made by may differ.
                    passed = frame.id == cursor
                    continue
                if frame.hidden or (only and frame.id != only) or (cursor and at is None and frame.id >= cursor):
                    continue
                if filter and any(frame.metadata.get(name) != value for name, value in filter.items()):
                    continue
                yield await self._tuple(key, frame, await history.read_writes(frame.id), tail, history)
                left = None if left is None else left - 1

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        journal = self._journal(config)
        given = _kept(checkpoint)
        changed: dict[str, values.Value] = {}
        others: dict[str, Any] = {}
        for name, value in checkpoint["channel_values"].items():
            if name in new_versions:
                changed[name] = values.encode(value, self.serde)
            else:
                others[name] = value
        frame = Frame(given, _own(get_checkpoint_metadata(config, metadata)), get_checkpoint_id(config))
        # A run's input is in its record as well, and no node begins before the checkpoint that follows is kept.
        soon = metadata.get("source") == "input" and fence.epoch.get() is not None
        begin = perf_counter()
        try:
            await journal.add(Checkpointed(frame, changed, others), soon=soon)
        finally:
            self._connection.metrics.checkpoint_seconds.observe(perf_counter() - begin)
        return _config(journal.key, frame.id)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        encoded = [
            (WRITES_IDX_MAP.get(channel, at), channel, values.encode(value, self.serde))
            for at, (channel, value) in enumerate(writes)
        ]
        await self._journal(config).add(Written(str(get_checkpoint_id(config)), task_id, task_path, encoded))

    async def adelete_thread(self, thread_id: str) -> None:
        await self.delete_threads([thread_id])

    async def delete_threads(self, thread_ids: Sequence[str]) -> None:
        """Removes all checkpoints of some threads, by one command."""
        gone = set(thread_ids)
        await self._settle()
        for key in [key for key in self._journals if key.thread in gone]:
            async with self._journals[key].lock:
                self._journals.pop(key).forget()
        removals = [DeleteMany({"_id": keys.thread_range(self._agent, thread_id)}) for thread_id in thread_ids]
        async with answering():
            await self._collection().bulk_write(removals, ordered=False)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        for thread in thread_ids:
            if strategy == "delete":
                await self.adelete_thread(thread)
                continue
            for key in await self._logs({"configurable": {"thread_id": thread}}):
                await self._journal_of(key).rewrite(lambda frames: {frame.id for frame in story.shown(frames)[-1:]})

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        for key in await self._logs({"configurable": {"thread_id": source_thread_id}}):
            journal = self._journal_of(key)
            history = self._history(journal, await journal.current())
            frames = [frame async for frame in history.frames()][::-1]
            if frames:
                target = self.journal(target_thread_id, key.namespace)
                teller = target.teller()
                for episode in await story.read(history, frames):
                    teller.add(episode)
                await target.take(teller.end())

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        runs = set(run_ids)
        await self._settle()
        wanted = {"_id": keys.agent_range(self._agent), "runs": {"$in": sorted(runs)}}
        async with answering():
            found = self._collection().find(wanted, {"_id": 1})
            logs = {keys.log_of(document["_id"], self._agent) async for document in found}
        for key in logs:
            await self._journal_of(key).rewrite(
                lambda frames: {frame.id for frame in story.shown(frames) if frame.metadata.get("run_id") not in runs}
            )

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        if not channels:
            return {}
        journal = self._journal(config)
        tail = await journal.current()
        history = self._history(journal, tail)
        writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
        seeds: dict[str, Any] = {}
        name = get_checkpoint_id(config)
        target = (await history.frame(name) if name else tail.newest) if tail.newest else None
        parent = target.parent if target else None
        async for frame in history.frames():
            if parent is None or len(seeds) == len(channels):
                break
            if frame.id != parent:
                continue
            parent = frame.parent
            found = await history.read_writes(frame.id)
            for write, packed in reversed(found):
                if write.channel in writes and write.channel not in seeds:
                    writes[write.channel].append(chapter.pending(write, packed, self.serde))
            there = {channel: frame.refs[channel] for channel in channels if channel in frame.refs}
            kept = await history.values(_only(frame, there))
            seeds |= {
                channel: values.decode(value, self.serde) for channel, value in kept.items() if channel not in seeds
            }
        return {
            channel: {"writes": writes[channel][::-1], **({"seed": seeds[channel]} if channel in seeds else {})}  # type: ignore[typeddict-item]
            for channel in channels
        }

    def journal(self, thread_id: str, namespace: str = "") -> Journal:
        """The log of a namespace of a thread."""
        return self._journal_of(LogKey(self._agent, thread_id, namespace))

    def _collection(self) -> AsyncCollection[dict[str, Any]]:
        return self._connection.database[COLLECTION]

    async def _tuple(
        self,
        key: LogKey,
        frame: Frame,
        writes: Sequence[tuple[chapter.Write, bytes]],
        tail: Tail,
        history: History,
    ) -> CheckpointTuple:
        known = tail.values if tail.newest is not None and frame.id == tail.newest.id else {}
        kept = known if known.keys() == frame.refs.keys() else await history.values(frame)
        channels = {channel: values.decode(value, self.serde) for channel, value in kept.items()}
        return CheckpointTuple(
            _config(key, frame.id),
            # A copy: LangGraph writes to what it is given, and the next checkpoint is kept by what differs in it.
            {**_own(frame.checkpoint), "channel_values": channels},  # type: ignore[typeddict-item]
            dict(frame.metadata),  # type: ignore[arg-type]
            _config(key, frame.parent) if frame.parent else None,
            [chapter.pending(write, packed, self.serde) for write, packed in writes],
        )

    async def _logs(self, config: RunnableConfig | None) -> Sequence[LogKey]:
        """The logs that a config names: of one namespace, of a thread, or all."""
        configurable = config["configurable"] if config else {}
        if config and "checkpoint_ns" in configurable:
            return [self._key(config)]
        thread = str(configurable["thread_id"]) if config else None
        ids = keys.heads_range(self._agent, thread) if thread else keys.agent_range(self._agent)
        await self._settle()
        async with answering():
            wanted = {"_id": ids, "thread": {"$gt": ""}}
            found = self._collection().find(wanted, {"thread": 1, "namespace": 1}, sort=[("_id", 1)])
            return [LogKey(self._agent, doc["thread"], doc["namespace"]) async for doc in found]

    async def _settle(self) -> None:
        """Has what is kept soon be there for queries over logs."""
        for journal in [journal for journal in self._journals.values() if not journal.settled]:
            await journal.settle()

    def _history(self, journal: Journal, tail: Tail) -> History:
        return History(journal.key, tail, self._site.archive(journal.key))

    def _key(self, config: RunnableConfig) -> LogKey:
        configurable = config["configurable"]
        return LogKey(self._agent, str(configurable["thread_id"]), configurable.get("checkpoint_ns", ""))

    def _journal(self, config: RunnableConfig) -> Journal:
        return self._journal_of(self._key(config))

    def _journal_of(self, key: LogKey) -> Journal:
        journal = self._journals.get(key)
        if journal is None:
            journal = self._journals[key] = Journal(key, self._site)
            self._shrink(key)
        self._journals.move_to_end(key)
        return journal

    def _shrink(self, besides: LogKey) -> None:
        """Forgets the logs that were not used for longest."""
        self._made += 1
        surplus = 0
        if self._made >= max(_LOOKED_AT, len(self._journals) / 4):
            self._made = 0
            surplus = sum(journal.size for journal in self._journals.values()) - _REMEMBERED
        if surplus <= 0 and len(self._journals) <= _MOST_JOURNALS:
            return
        many, gone = len(self._journals) - _MOST_JOURNALS, list[LogKey]()
        for key, journal in self._journals.items():
            if surplus <= 0 and many <= len(gone):
                break
            if key != besides and journal.idle:
                surplus -= journal.size
                gone.append(key)
        for key in gone:
            del self._journals[key]


def _config(key: LogKey, checkpoint: str) -> RunnableConfig:
    return {"configurable": {"thread_id": key.thread, "checkpoint_ns": key.namespace, "checkpoint_id": checkpoint}}


def _kept(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint without its values; a copy, since LangGraph goes on with its own."""
    kept: dict[str, Any] = {**checkpoint}
    del kept["channel_values"]
    for name, value in kept.items():
        if type(value) in _GROWING:
            # What is in them does not change, but for what a node has seen.
            kept[name] = {node: dict(seen) for node, seen in value.items()} if name == "versions_seen" else value.copy()
    return kept


def _own(value: Any) -> Any:
    """A copy of plain data that does not change with the caller's."""
    if type(value) is dict:
        return {key: _own(item) if type(item) in _GROWING else item for key, item in value.items()}
    return list(map(_own, value)) if type(value) is list else value


def _only(frame: Frame, refs: Mapping[str, Any]) -> Frame:
    return Frame(frame.checkpoint, frame.metadata, frame.parent, refs, frame.hidden)
