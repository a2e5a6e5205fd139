"""LangGraph's checkpointer for MongoDB, confined to one agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.mongodb import MongoDBSaver
from pymongo.errors import ConnectionFailure

from agent_runtime.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
    from pymongo import MongoClient


class AgentSaver(MongoDBSaver):
    """Keeps an agent's checkpoints apart from those of other agents in the same database.

    Thread ids are chosen by clients and may meet; in the collections they carry the agent's key as a prefix.
    Old threads are removed whole by the sweeper, not by a TTL index: an index removes single checkpoints,
    and agents that share a collection can't each have their own.
    """

    def __init__(self, client: MongoClient[Any], database: str, agent: str) -> None:
        super().__init__(client, database)
        self._prefix = f"{agent}/"

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        with _connected():
            found: CheckpointTuple | None = super().get_tuple(self._inward(config))
        return self._outward(found) if found else None

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - named by the base class
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        if config is None:
            raise ValueError("checkpoints are listed by thread: give a config with a thread_id")
        with _connected():
            found = list(super().list(self._inward(config), filter=filter, before=before, limit=limit))
        yield from map(self._outward, found)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        with _connected():
            return self._strip(super().put(self._inward(config), checkpoint, metadata, new_versions))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        with _connected():
            super().put_writes(self._inward(config), writes, task_id, task_path)

    def delete_thread(self, thread_id: str) -> None:
        with _connected():
            super().delete_thread(self._prefix + thread_id)

    def _inward(self, config: RunnableConfig) -> RunnableConfig:
        configurable = config["configurable"]
        return {
            **config,
            "configurable": {**configurable, "thread_id": self._prefix + str(configurable["thread_id"])},
        }

    def _outward(self, found: CheckpointTuple) -> CheckpointTuple:
        parent = self._strip(found.parent_config) if found.parent_config else None
        return found._replace(config=self._strip(found.config), parent_config=parent)

    def _strip(self, config: RunnableConfig) -> RunnableConfig:
        configurable = config["configurable"]
        thread_id = str(configurable["thread_id"]).removeprefix(self._prefix)
        return {**config, "configurable": {**configurable, "thread_id": thread_id}}


@contextmanager
def _connected() -> Iterator[None]:
    """Turns a lost connection into the error that has a run go on later, instead of ending it."""
    try:
        yield
    except ConnectionFailure as error:
        raise UnavailableError(f"MongoDB can't be used: {type(error).__name__}") from error
