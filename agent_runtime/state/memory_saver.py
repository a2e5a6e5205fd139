"""LangGraph's checkpointer in memory, which knows how much it keeps."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.memory import InMemorySaver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata

_OVERHEAD = 256
"""Bytes that a kept item takes besides its content, about."""


class MemorySaver(InMemorySaver):
    """Counts the bytes of each thread, and can forget what a thread needs no more to go on.

    `on_growth` is called after each write with the thread's id. What it raises ends the run that writes.
    """

    def __init__(self, on_growth: Callable[[str], None]) -> None:
        super().__init__()
        self._on_growth = on_growth
        self._sizes: dict[str, int] = defaultdict(int)
        self.size = 0
        """Bytes of all threads."""

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        written = super().put(config, checkpoint, metadata, new_versions)
        thread_id, namespace = written["configurable"]["thread_id"], written["configurable"]["checkpoint_ns"]
        values = (self.blobs[(thread_id, namespace, name, version)] for name, version in new_versions.items())
        kept, told, _ = self.storage[thread_id][namespace][checkpoint["id"]]
        self._grow(thread_id, sum(_size(value) for value in (*values, kept, told)))
        return written

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        given = config["configurable"]
        key = (given["thread_id"], given.get("checkpoint_ns", ""), given["checkpoint_id"])
        before = len(self.writes.get(key, ()))
        super().put_writes(config, writes, task_id, task_path)
        added = list(self.writes[key].values())[before:] if key in self.writes else ()
        self._grow(given["thread_id"], sum(_size(value) for _, _, value, _ in added))

    def size_of(self, thread_id: str) -> int:
        """Bytes of one thread."""
        return self._sizes.get(thread_id, 0)

    def delete_thread(self, thread_id: str) -> None:
        super().delete_thread(thread_id)
        self.size -= self._sizes.pop(thread_id, 0)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        gone = set(run_ids)
        for thread_id, namespaces in self.storage.items():
            for namespace, found in namespaces.items():
                written = [key for key, one in found.items() if self.serde.loads_typed(one[1]).get("run_id") in gone]
                for key in written:
                    kept, told, _ = found.pop(key)
                    writes = self.writes.pop((thread_id, namespace, key), {})
                    parts = [kept, told, *(value for _, _, value, _ in writes.values())]
                    self._sizes[thread_id] -= (size := sum(map(_size, parts)))
                    self.size -= size

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        for namespace, found in self.storage.get(source_thread_id, {}).items():
            self.storage[target_thread_id][namespace] = dict(found)
        for kept in (self.blobs, self.writes):
            of_source = [(key, value) for key, value in kept.items() if key[0] == source_thread_id]
            kept.update({(target_thread_id, *key[1:]): copy.copy(value) for key, value in of_source})
        self._grow(target_thread_id, self.size_of(source_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        for thread_id in thread_ids:
            if strategy == "keep_latest":
                self.forget_history(thread_id)
            else:
                self.delete_thread(thread_id)

    def forget_history(self, thread_id: str) -> None:
        """Keeps of a thread the newest checkpoint, and those of its sub-graphs that are under way."""
        threads = self.storage.get(thread_id, {})
        current = max(threads.get("", {}), default="")
        newest = {namespace: max(found) for namespace, found in threads.items() if found}
        newest = {namespace: found for namespace, found in newest.items() if not namespace or found > current}
        needed = {
            (thread_id, namespace, name, version)
            for namespace, found in newest.items()
            for name, version in self.serde.loads_typed(threads[namespace][found][0])["channel_versions"].items()
        }
        kept = {namespace: {found: threads[namespace][found]} for namespace, found in newest.items()}
        blobs = {key: self.blobs[key] for key in needed if key in self.blobs}
        keys = [(thread_id, namespace, found) for namespace, found in newest.items()]
        writes = {key: self.writes[key] for key in keys if key in self.writes}
        self.delete_thread(thread_id)
        self.storage[thread_id].update(kept)
        self.blobs.update(blobs)
        self.writes.update(writes)
        parts = [part for found in kept.values() for one in found.values() for part in one[:2]]
        parts += [*blobs.values(), *(value for found in writes.values() for _, _, value, _ in found.values())]
        self._sizes[thread_id] = sum(map(_size, parts))
        self.size += self._sizes[thread_id]

    def _grow(self, thread_id: str, size: int) -> None:
        self._sizes[thread_id] += size
        self.size += size
        self._on_growth(thread_id)


def _size(value: tuple[str, bytes]) -> int:
    return len(value[1]) + _OVERHEAD
