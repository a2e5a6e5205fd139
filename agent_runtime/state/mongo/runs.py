"""Collection `runs`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pymongo import ASCENDING, DESCENDING, ReturnDocument

from agent_runtime.errors import UnreadableError, busy
from agent_runtime.state.connection import answering
from agent_runtime.state.mongo.batches import Waiting, waiting
from agent_runtime.state.mongo.threads import Threads
from agent_runtime.state.records import (
    ACTIVE,
    ANONYMOUS,
    PUSH,
    TASK,
    Backlog,
    CancelAction,
    Ending,
    Glimpse,
    Run,
    RunQuery,
    RunStatus,
    now,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from agent_runtime.state.connection import MongoConnection

Record = TypeVar("Record", Run, Glimpse)


class Runs(Threads):
    """Keeps runs, and in their threads whether they are busy."""

    def __init__(self, connection: MongoConnection, agent: str) -> None:
        super().__init__(connection, agent)
        self._waiting = Waiting(self._named("runs"))

    async def _prepare_runs(self) -> None:
        runs = self._db["runs"]
        async with answering():
            await runs.create_index([("agent", ASCENDING), ("status", ASCENDING), ("created_at", ASCENDING)])
            await runs.create_index([("thread", ASCENDING), ("created_at", DESCENDING)])
            tasks = [("agent", ASCENDING), ("owner", ASCENDING), (f"metadata.{TASK}", ASCENDING)]
            await runs.create_index([*tasks, ("updated_at", DESCENDING)])
            await runs.create_index([("alone", ASCENDING)], unique=True, sparse=True)

    async def add_run(self, run: Run, *, alone: bool = False, lone: bool = False) -> bool:
        key = self._key(run.thread_id)
        document = {"_id": self._key(run.run_id), "agent": self._agent, "thread": key, **asdict(run)}
        # As text, since clients may send keys and numbers that BSON does not take.
        document["metadata"] = self._kept_metadata(run, run.metadata)
        del document["unreadable"]
        document["request"] = self._vault.close(json.dumps(run.request), f"{document['_id']}|request")
        if alone:
            if await self.first_active(run.thread_id):
                raise busy(shown(run.thread_id))
            # Of two that look at the same time the unique index lets one in.
            document["alone"] = key
        if not await self._insert("runs", document, document.get("alone", "")):
            if alone and await self.run(run.thread_id, run.run_id) is None:
                raise busy(shown(run.thread_id))
            return False
        if not lone:
            await self._set_thread(run.thread_id, run.status)
        return True

    async def run(self, thread_id: str, run_id: str) -> Run | None:
        async with answering():
            wanted = {"_id": self._key(run_id), "thread": self._key(thread_id)}
            return self._run(await self._db["runs"].find_one(wanted))

    async def runs(self, thread_id: str, status: RunStatus | None, limit: int, offset: int) -> list[Run]:
        wanted = {"thread": self._key(thread_id), **({"status": status} if status else {})}
        return await self._find_runs(wanted, DESCENDING, limit, offset)

    async def find_runs(self, query: RunQuery) -> list[Run]:
        async with answering():
            order = [("updated_at", DESCENDING)]
            found = self._db["runs"].find(self._fitting(query), sort=order, limit=query.limit, skip=query.offset)
            return [self._listed(document) async for document in found]

    async def count_runs(self, query: RunQuery) -> int:
        async with answering():
            return await self._db["runs"].count_documents(self._fitting(query))

    async def update_run(self, run: Run, metadata: dict[str, Any]) -> Run | None:
        given = {f"metadata.{name}": value for name, value in self._kept_metadata(run, metadata).items()}
        gone = {name: "" for name, value in given.items() if value is None}
        kept = {name: value for name, value in given.items() if value is not None}
        update = {**({"$set": kept} if kept else {}), **({"$unset": gone} if gone else {})}
        async with answering():
            await self._db["runs"].update_one({"_id": self._key(run.run_id)}, update)
        return await self.run(run.thread_id, run.run_id)

    async def waiting_threads(self, limit: int, besides: Collection[str]) -> list[str]:
        wanted: dict[str, Any] = {"agent": self._agent, **waiting()}
        if besides:
            wanted["thread"] = {"$nin": [self._key(name) for name in besides]}
        async with answering():
            found = self._db["runs"].find(wanted, {"thread_id": 1}, sort=[("created_at", ASCENDING)], limit=limit)
            return list(dict.fromkeys([document["thread_id"] async for document in found]))

    async def first_active(self, thread_id: str) -> Run | None:
        wanted = {"thread": self._key(thread_id), **waiting()}
        async with answering():
            return self._run(await self._db["runs"].find_one(wanted, sort=[("created_at", ASCENDING)]))

    async def queued(self) -> dict[str, int]:
        mine = {"agent": self._agent, "status": {"$in": list(ACTIVE)}}
        counted = [{"$match": mine}, {"$group": {"_id": "$owner", "count": {"$sum": 1}}}]
        async with answering():
            found = await self._db["runs"].aggregate(counted)
            return {document["_id"] or ANONYMOUS: document["count"] async for document in found}

    async def backlog(self) -> Backlog:
        mine = {"agent": self._agent, "status": {"$in": list(ACTIVE)}}
        idle = {**waiting(), "agent": self._agent, "status": "pending"}
        group = {"_id": None, "count": {"$sum": 1}, "since": {"$min": {"$max": ["$created_at", "$due"]}}}
        async with answering():
            unended = await self._db["runs"].count_documents(mine)
            found = await self._db["runs"].aggregate([{"$match": idle}, {"$group": group}])
            counted = [document async for document in found] or [{"count": 0, "since": None}]
        return Backlog(unended, counted[0]["count"], counted[0]["since"])

    async def start_run(self, run: Run, epoch: int) -> Run | None:
        begun = replace(run, status="running", epoch=epoch, attempt=run.attempt + 1, updated_at=now())
        if run.active and run.epoch < epoch:
            # Together with those of other threads, where it still is as it was seen.
            asked = {"$set": {name: getattr(begun, name) for name in ("status", "epoch", "attempt", "updated_at")}}
            seen = {name: getattr(run, name) for name in ("status", "epoch", "attempt", "cancel", "followed")}
            done = await self._change("runs", {"_id": self._key(run.run_id), **seen}, asked)
            if done:
                return begun
            if done is None and (found := await self.run(run.thread_id, run.run_id)) and found.epoch == epoch:
                return found
        # So written, the condition also holds where a run of an older release has no epoch.
        startable = {"status": {"$in": list(ACTIVE)}, "epoch": {"$not": {"$gte": epoch}}}
        changes = {"$set": {"status": "running", "epoch": epoch, "updated_at": now()}, "$inc": {"attempt": 1}}
        return await self._change_run(run, startable, changes)

    async def end_run(
        self,
        run: Run,
        status: RunStatus,
        error: dict[str, str] | None,
        checkpoint: str | None = None,
        *,
        asked: bool | None = None,
        lone: bool = False,
    ) -> Ending | None:
        changes = {"status": status, "error": error, "checkpoint": checkpoint, "updated_at": now()}
        update: dict[str, Any] = {"$set": {**changes, "error": self._kept_error(run, error)}}
        update |= {"$inc": {"returned": 1}} if status == "pending" else {"$unset": {"alone": ""}}
        wanted = {"_id": self._key(run.run_id), "epoch": run.epoch, "status": {"$in": list(ACTIVE)}}
        done = await self._change("runs", wanted, update)
        if done is None:
            found = await self.run(run.thread_id, run.run_id)
            done = found is not None and all(getattr(found, name) == value for name, value in changes.items())
        if not done:
            return None
        if lone:
            return Ending(followed_by=False, noted=False)
        return await self.note_end(replace(run, status=status), asked=asked)

    async def note_end(self, ended: Run, *, asked: bool | None = None) -> Ending:
        followed = await self._waiting.any(self._key(ended.thread_id))
        was_asked = await self._set_thread(ended.thread_id, "pending" if followed else ended.status, asked=asked)
        return Ending(followed, was_asked)

    async def delete_run(self, run: Run) -> bool:
        wanted = {"_id": self._key(run.run_id), "status": run.status, "epoch": run.epoch}
        async with answering():
            if not (await self._db["runs"].delete_one(wanted)).deleted_count:
                return False
        if run.active:
            newest = next(iter(await self.runs(run.thread_id, None, 1, 0)), None)
            await self._set_thread(run.thread_id, newest.status if newest else "success")
        return True

    async def request_cancel(self, run: Run, action: CancelAction) -> Run | None:
        return await self._change_run(run, {"status": {"$in": list(ACTIVE)}}, {"$set": {"cancel": action}})

    async def follow(self, run: Run) -> None:
        await self._update_run(run, {"status": {"$in": list(ACTIVE)}}, {"followed": True})

    async def look(self, run_ids: Collection[str]) -> list[Glimpse]:
        fields = dict.fromkeys(Glimpse.__dataclass_fields__, 1)
        async with answering():
            found = self._db["runs"].find({"_id": {"$in": [self._key(run_id) for run_id in run_ids]}}, fields)
            return [_filled(Glimpse, document) async for document in found]

    async def active_runs(self, thread_id: str) -> list[Run]:
        wanted = {"thread": self._key(thread_id), "status": {"$in": list(ACTIVE)}}
        return await self._find_runs(wanted, ASCENDING, 0)

    async def active_runs_of(self, owner: str, statuses: Collection[RunStatus], limit: int) -> list[Run]:
        wanted = {"agent": self._agent, "owner": owner, "status": {"$in": [one for one in statuses if one in ACTIVE]}}
        return await self._find_runs(wanted, ASCENDING, limit)

    def _fitting(self, query: RunQuery) -> dict[str, Any]:
        wanted: dict[str, Any] = {"agent": self._agent, "owner": query.owner}
        wanted |= {f"metadata.{name}": {"$eq": value} for name, value in query.metadata.items()}
        if query.run_id is not None:
            wanted["_id"] = self._key(query.run_id)
        if query.thread_id is not None:
            wanted["thread"] = self._key(query.thread_id)
        return wanted

    async def _find_runs(self, wanted: dict[str, Any], order: int, limit: int, offset: int = 0) -> list[Run]:
        async with answering():
            found = self._db["runs"].find(wanted, sort=[("created_at", order)], limit=limit, skip=offset)
            return [self._listed(document) async for document in found]

    def _listed(self, document: dict[str, Any]) -> Run:
        """The run; one that can't be read tells only what is kept in the open."""
        try:
            return self._opened(document)
        except UnreadableError as error:
            metadata = {name: value for name, value in document["metadata"].items() if not name.startswith(PUSH)}
            failed = document.get("error") and {**document["error"], "message": str(error)}
            told = {"request": {}, "error": failed, "metadata": metadata, "unreadable": str(error)}
            return _filled(Run, {**document, **told})

    def _run(self, document: dict[str, Any] | None) -> Run | None:
        return None if document is None else self._opened(document)

    def _opened(self, document: dict[str, Any]) -> Run:
        name, error = document["_id"], document.get("error")
        if error:
            error = {**error, "message": self._vault.open(error["message"], f"{name}|error")}
        request = self._vault.open_object(document.get("request"), f"{name}|request")
        metadata = {
            one: self._vault.open_object(value, f"{name}|{one}") if one.startswith(PUSH) else value
            for one, value in document["metadata"].items()
        }
        return _filled(Run, {**document, "request": request, "error": error, "metadata": metadata})

    def _kept_metadata(self, run: Run, metadata: dict[str, Any]) -> dict[str, Any]:
        """What clients want to be told by goes with secrets of theirs; all else is there to be searched."""
        key = self._key(run.run_id)
        return {
            name: self._vault.close(json.dumps(value), f"{key}|{name}") if name.startswith(PUSH) and value else value
            for name, value in metadata.items()
        }

    def _kept_error(self, run: Run, error: dict[str, str] | None) -> dict[str, Any] | None:
        """Its message quotes what models and tools said."""
        if error is None:
            return None
        return {**error, "message": self._vault.close(error["message"], f"{self._key(run.run_id)}|error")}

    async def _change_run(self, run: Run, condition: dict[str, Any], update: dict[str, Any]) -> Run | None:
        """The run after the update; None if the condition did not hold."""
        async with answering():
            wanted = {"_id": self._key(run.run_id), **condition}
            after = ReturnDocument.AFTER
            return self._run(await self._db["runs"].find_one_and_update(wanted, update, return_document=after))

    async def _update_run(self, run: Run, condition: dict[str, Any], changes: dict[str, Any]) -> None:
        async with answering():
            await self._db["runs"].update_one({"_id": self._key(run.run_id), **condition}, {"$set": changes})


def _filled(record: type[Record], document: dict[str, Any]) -> Record:
    """The record; what an older release wrote lacks the fields that came later."""
    return record(**{name: document[name] for name in record.__dataclass_fields__ if name in document})
