"""State in MongoDB.

Several agents share a database: documents carry the agent's key (`namespace/name`) in their `_id`.
A lease is taken by inserting a document whose `_id` is the thread, which is atomic on every server that
speaks the protocol; `findAndModify` is not (FerretDB 1).
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING, DESCENDING, AsyncMongoClient, MongoClient, ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from agent_runtime.errors import UnavailableError, busy
from agent_runtime.state.records import (
    ACTIVE,
    ANONYMOUS,
    Lease,
    Run,
    RunStatus,
    Thread,
    ThreadQuery,
    now,
    shown,
    thread_status,
)
from agent_runtime.state.trouble import readable, reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from langgraph.checkpoint.base import BaseCheckpointSaver

    from agent_runtime.spec.state import MongoDBTLSSpec

_SELECTION_TIMEOUT_MS = 2000
_SOCKET_TIMEOUT_MS = 10_000


class MongoStore:
    """Keeps threads, runs and leases in one database.

    `uri` and `options` are asked for when the connection is made; both may raise UnavailableError.
    """

    durable = True

    def __init__(
        self,
        uri: Callable[[], str],
        database: str,
        agent: str,
        threads: int,
        options: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._uri = uri
        self._options = options
        self._database = database
        self._agent = agent
        self._pool_size = threads
        self._client: AsyncMongoClient[dict[str, Any]] | None = None
        self._sync: MongoClient[dict[str, Any]] | None = None
        self._saver: BaseCheckpointSaver[Any] | None = None

    async def prepare(self) -> BaseCheckpointSaver[Any]:
        async with _answering():
            db = self._db
            await db["threads"].create_index([("agent", ASCENDING), ("updated_at", ASCENDING)])
            await db["threads"].create_index([("agent", ASCENDING), ("created_at", DESCENDING)])
            await db["threads"].create_index([("agent", ASCENDING), ("owner", ASCENDING), ("created_at", DESCENDING)])
            await db["runs"].create_index([("agent", ASCENDING), ("status", ASCENDING), ("created_at", ASCENDING)])
            await db["runs"].create_index([("thread", ASCENDING), ("created_at", DESCENDING)])
            await db["runs"].create_index([("alone", ASCENDING)], unique=True, sparse=True)
            self._saver = await asyncio.to_thread(self._make_saver)
            return self._saver

    async def ping(self) -> None:
        async with _answering():
            await self._db.command("ping")

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
        if self._sync is not None:
            await asyncio.to_thread(self._sync.close)

    async def add_thread(self, thread: Thread) -> bool:
        document = {"_id": self._key(thread.thread_id), "agent": self._agent, **asdict(thread)}
        return await self._insert("threads", document)

    async def thread(self, thread_id: str) -> Thread | None:
        async with _answering():
            return _thread(await self._db["threads"].find_one({"_id": self._key(thread_id)}))

    async def threads(self, query: ThreadQuery) -> list[Thread]:
        wanted: dict[str, Any] = {"agent": self._agent}
        wanted |= {f"metadata.{name}": {"$eq": value} for name, value in query.metadata.items()}
        if query.ids:
            wanted["_id"] = {"$in": [self._key(name) for name in query.ids]}
        if query.status:
            wanted["status"] = query.status
        if query.owner:
            # Threads of an older release have no owner.
            wanted["owner"] = {"$in": [ANONYMOUS, None]} if query.owner == ANONYMOUS else query.owner
        order = [(query.sort_by, DESCENDING if query.descending else ASCENDING)]
        async with _answering():
            found = self._db["threads"].find(wanted, sort=order, skip=query.offset, limit=query.limit)
            return [thread async for document in found if (thread := _thread(document))]

    async def update_thread(self, thread_id: str, metadata: dict[str, Any]) -> Thread | None:
        changes = {f"metadata.{name}": value for name, value in metadata.items()}
        async with _answering():
            return _thread(
                await self._db["threads"].find_one_and_update(
                    {"_id": self._key(thread_id)},
                    {"$set": {**changes, "updated_at": now()}},
                    return_document=ReturnDocument.AFTER,
                )
            )

    async def delete_thread(self, thread_id: str) -> None:
        key = self._key(thread_id)
        async with _answering():
            if self._saver is not None:
                await self._saver.adelete_thread(thread_id)
            await self._db["runs"].delete_many({"thread": key})
            await self._db["threads"].delete_one({"_id": key})

    async def idle_since(self, moment: datetime, limit: int) -> list[str]:
        wanted = {"agent": self._agent, "updated_at": {"$lt": moment}, "status": {"$ne": "busy"}}
        async with _answering():
            return [doc["thread_id"] async for doc in self._db["threads"].find(wanted, {"thread_id": 1}, limit=limit)]

    async def add_run(self, run: Run, *, alone: bool = False) -> bool:
        key = self._key(run.thread_id)
        document = {"_id": self._key(run.run_id), "agent": self._agent, "thread": key, **asdict(run)}
        # As text, since clients may send keys and numbers that BSON does not take.
        document["request"] = json.dumps(run.request)
        if alone:
            if await self.first_active(run.thread_id):
                raise busy(shown(run.thread_id))
            # Of two that look at the same time the unique index lets one in.
            document["alone"] = key
        if not await self._insert("runs", document):
            if alone and await self.run(run.thread_id, run.run_id) is None:
                raise busy(shown(run.thread_id))
            return False
        await self._set_thread(run.thread_id, run.status)
        return True

    async def run(self, thread_id: str, run_id: str) -> Run | None:
        async with _answering():
            wanted = {"_id": self._key(run_id), "thread": self._key(thread_id)}
            return _run(await self._db["runs"].find_one(wanted))

    async def runs(self, thread_id: str, status: RunStatus | None, limit: int, offset: int) -> list[Run]:
        wanted = {"thread": self._key(thread_id), **({"status": status} if status else {})}
        return await self._find_runs(wanted, DESCENDING, limit, offset)

    async def waiting_threads(self, limit: int, besides: Collection[str]) -> list[str]:
        wanted: dict[str, Any] = {"agent": self._agent, "status": {"$in": list(ACTIVE)}}
        if besides:
            wanted["thread"] = {"$nin": [self._key(name) for name in besides]}
        async with _answering():
            found = self._db["runs"].find(wanted, {"thread_id": 1}, sort=[("created_at", ASCENDING)], limit=limit)
            return list(dict.fromkeys([document["thread_id"] async for document in found]))

    async def first_active(self, thread_id: str) -> Run | None:
        wanted = {"thread": self._key(thread_id), "status": {"$in": list(ACTIVE)}}
        found = await self._find_runs(wanted, ASCENDING, 1)
        return found[0] if found else None

    async def start_run(self, run: Run, token: str) -> Run | None:
        started = replace(run, status="running", attempt=run.attempt + 1, lease=token, updated_at=now())
        changes = {
            "status": started.status,
            "attempt": started.attempt,
            "lease": token,
            "updated_at": started.updated_at,
        }
        return started if await self._update_run(run, {"status": {"$in": list(ACTIVE)}}, changes) else None

    async def end_run(
        self, run: Run, status: RunStatus, error: dict[str, str] | None, checkpoint: str | None = None
    ) -> bool:
        changes = {"status": status, "error": error, "checkpoint": checkpoint, "updated_at": now()}
        over = () if status in ACTIVE else ("alone",)
        if not await self._update_run(run, {"lease": run.lease, "status": {"$in": list(ACTIVE)}}, changes, over):
            return False
        follower = await self.first_active(run.thread_id)
        await self._set_thread(run.thread_id, follower.status if follower else status)
        return True

    async def delete_run(self, run: Run) -> None:
        async with _answering():
            await self._db["runs"].delete_one({"_id": self._key(run.run_id)})

    async def claim(self, lease: Lease) -> bool:
        document = {
            "_id": self._key(lease.thread_id),
            "thread_id": lease.thread_id,
            "token": lease.token,
            "beat": 0,
        }
        return await self._insert("leases", document)

    async def leases(self) -> list[Lease]:
        async with _answering():
            # `0` follows `/`: the ids that begin with the agent's key.
            found = self._db["leases"].find({"_id": {"$gte": f"{self._agent}/", "$lt": f"{self._agent}0"}})
            return [Lease(doc["thread_id"], doc["token"], doc["beat"]) async for doc in found]

    async def renew(self, held: Sequence[Lease]) -> list[Lease]:
        renewed = []
        async with _answering():
            for lease in held:
                wanted = {"_id": self._key(lease.thread_id), "token": lease.token}
                result = await self._db["leases"].update_one(wanted, {"$set": {"beat": lease.beat + 1}})
                if result.matched_count:
                    renewed.append(replace(lease, beat=lease.beat + 1))
        return renewed

    async def release(self, lease: Lease) -> bool:
        async with _answering():
            wanted = {"_id": self._key(lease.thread_id), "token": lease.token}
            return bool((await self._db["leases"].delete_one(wanted)).deleted_count)

    @property
    def _db(self) -> Any:
        if self._client is None:
            with readable():
                self._client = AsyncMongoClient(
                    self._uri(),
                    tz_aware=True,
                    serverSelectionTimeoutMS=_SELECTION_TIMEOUT_MS,
                    connectTimeoutMS=_SELECTION_TIMEOUT_MS,
                    socketTimeoutMS=_SOCKET_TIMEOUT_MS,
                    appname="apm-agent",
                    **self._options(),
                )
        return self._client[self._database]

    def _make_saver(self) -> BaseCheckpointSaver[Any]:
        from agent_runtime.state.saver import AgentSaver  # noqa: PLC0415 - slow to import, and only needed here

        if self._sync is None:
            self._sync = MongoClient(
                self._uri(),
                serverSelectionTimeoutMS=_SELECTION_TIMEOUT_MS,
                connectTimeoutMS=_SELECTION_TIMEOUT_MS,
                socketTimeoutMS=_SOCKET_TIMEOUT_MS,
                maxPoolSize=self._pool_size,
                appname="apm-agent",
                **self._options(),
            )
        return AgentSaver(self._sync, self._database, self._agent)

    def _key(self, identifier: str) -> str:
        return f"{self._agent}/{identifier}"

    async def _insert(self, collection: str, document: dict[str, Any]) -> bool:
        async with _answering():
            try:
                await self._db[collection].insert_one(document)
            except DuplicateKeyError:
                return False
            return True

    async def _find_runs(self, wanted: dict[str, Any], order: int, limit: int, offset: int = 0) -> list[Run]:
        async with _answering():
            found = self._db["runs"].find(wanted, sort=[("created_at", order)], limit=limit, skip=offset)
            return [run async for document in found if (run := _run(document))]

    async def _update_run(
        self, run: Run, condition: dict[str, Any], changes: dict[str, Any], removed: Sequence[str] = ()
    ) -> bool:
        update = {"$set": changes, **({"$unset": dict.fromkeys(removed, "")} if removed else {})}
        async with _answering():
            wanted = {"_id": self._key(run.run_id), **condition}
            return bool((await self._db["runs"].update_one(wanted, update)).matched_count)

    async def _set_thread(self, thread_id: str, status: RunStatus) -> None:
        changes = {"status": thread_status(status), "updated_at": now()}
        async with _answering():
            await self._db["threads"].update_one({"_id": self._key(thread_id)}, {"$set": changes})


def tls_options(spec: MongoDBTLSSpec, secrets_dir: Path) -> dict[str, Any]:
    """The driver's options for `state.mongodb.tls`.

    Raises:
        UnavailableError: A Secret that it names has no such key.
    """
    files = {"tlsCAFile": spec.ca_secret_ref, "tlsCertificateKeyFile": spec.client_certificate_secret_ref}
    # Said once more, since the connection string may say otherwise.
    options: dict[str, Any] = {"tls": True, "tlsAllowInvalidCertificates": False, "tlsAllowInvalidHostnames": False}
    for option, ref in files.items():
        if ref is not None:
            path = ref.path(secrets_dir)
            if not path.is_file():
                raise UnavailableError(f"Secret {ref.name} has no value for the key {ref.key}: set it")
            options[option] = str(path)
    return options


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    """Turns the driver's errors into one that names no address and no credentials."""
    try:
        yield
    except PyMongoError as error:
        raise UnavailableError(f"MongoDB can't be used: {reason(error)}") from error


def _thread(document: dict[str, Any] | None) -> Thread | None:
    if document is None:
        return None
    return Thread(**{name: document[name] for name in Thread.__dataclass_fields__ if name in document})


def _run(document: dict[str, Any] | None) -> Run | None:
    if document is None:
        return None
    # A run that an older release wrote lacks the fields that came later.
    fields = {name: document[name] for name in Run.__dataclass_fields__ if name in document}
    return Run(**{**fields, "request": json.loads(document["request"])})
