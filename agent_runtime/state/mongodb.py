"""State in MongoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_runtime.state.checkpoints.options import Options
from agent_runtime.state.connection import answering
from agent_runtime.state.mongo.events import EVENTS, Events
from agent_runtime.state.mongo.heads import HEADS, Heads
from agent_runtime.state.mongo.hooks import Hooks
from agent_runtime.state.mongo.interrupts import INTERRUPTS, Interrupts
from agent_runtime.state.mongo.runs import Runs
from agent_runtime.state.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_runtime.state.checkpoints.saver import MongoSaver
    from agent_runtime.state.connection import MongoConnection


class MongoStore(Runs, Heads, Hooks, Events, Interrupts):
    """Keeps threads, runs and leases in one database."""

    durable = True

    def __init__(self, connection: MongoConnection, agent: str, options: Options | None = None) -> None:
        super().__init__(connection, agent)
        self._options = options or Options()
        self._saver: MongoSaver | None = None

    async def prepare(self) -> MongoSaver:
        from agent_runtime.state.checkpoints.saver import MongoSaver  # noqa: PLC0415 - slow to import, and needed here

        self._vault = Vault(self._options.sealer())
        await self._prepare_threads()
        await self._prepare_runs()
        await self._prepare_heads()
        await self._prepare_hooks()
        await self._prepare_events()
        await self._prepare_interrupts()
        if self._saver is None:
            self._saver = MongoSaver(self._connection, self._agent, self._options)
        await self._saver.start()
        return self._saver

    async def ping(self) -> None:
        async with answering():
            await self._db.command("ping")

    async def close(self) -> None:
        await self._connection.close()

    async def delete_thread(self, thread_id: str) -> None:
        await self.delete_threads([thread_id])

    async def delete_threads(self, thread_ids: Sequence[str]) -> None:
        these = {"$in": [self._key(thread_id) for thread_id in thread_ids]}
        if self._saver is not None:
            await self._saver.delete_threads(thread_ids)
        async with answering():
            for collection in ("runs", EVENTS, INTERRUPTS):
                await self._db[collection].delete_many({"thread": these})
            # Last, so that what an error leaves is still found.
            for collection in (HEADS, "threads"):
                await self._db[collection].delete_many({"_id": these})
