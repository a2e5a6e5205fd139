"""Whether the queries that agents make find what they ask for by an index, as the server itself explains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING, DESCENDING

from agent_runtime.state.checkpoints.keys import COLLECTION, LogKey
from agent_runtime.state.connection import answering
from agent_runtime.state.records import TASK

if TYPE_CHECKING:
    from pymongo.asynchronous.database import AsyncDatabase

Query = tuple[str, dict[str, Any], dict[str, int]]
"""Collection, filter and order."""

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_LARGE = 2000
"""Documents that a collection has to have: FerretDB reads small ones as a whole, which is quicker."""


def queries(agent: str) -> dict[str, Query]:
    """The queries that are made all the time."""
    return {**_of_threads(agent), **_of_runs(agent), **_of_interrupts(agent), **_of_events(agent), **_of_state(agent)}


def _of_threads(agent: str) -> dict[str, Query]:
    newest = {"created_at": DESCENDING, "_id": DESCENDING}
    unnoted = {"agent": agent, "status": "interrupted", "asked": None}
    return {
        "idle threads": ("threads", {"agent": agent, "updated_at": {"$lt": _LONG_AGO}}, {}),
        "a caller's threads": ("threads", {"agent": agent, "owner": "x"}, newest),
        "threads whose interrupts are not noted": ("threads", unnoted, {}),
        "held threads": ("heads", {"agent": agent, "lease": {"$gt": ""}}, {}),
    }


def _of_runs(agent: str) -> dict[str, Query]:
    waiting = {"agent": agent, "status": {"$in": ["pending", "running"]}}
    tasks = {"agent": agent, "owner": "x", f"metadata.{TASK}": {"$eq": True}}
    told = {"thread": f"{agent}/thread", "run_id": "x", "last": {"$gt": 0}}
    return {
        "waiting runs": ("runs", waiting, {"created_at": ASCENDING}),
        "a thread's runs": ("runs", {"thread": f"{agent}/thread"}, {"created_at": DESCENDING}),
        "a caller's tasks": ("runs", tasks, {"updated_at": DESCENDING}),
        "events of a run": ("run_events", told, {"last": ASCENDING}),
        "due webhooks": ("webhooks", {"agent": agent, "due": {"$lte": _LONG_AGO}}, {"due": ASCENDING}),
        "crons to come": ("crons", {"agent": agent, "due": {"$gt": _LONG_AGO}}, {"due": ASCENDING}),
    }


def _of_interrupts(agent: str) -> dict[str, Query]:
    expiring = {"agent": agent, "status": "open", "due": {"$ne": None}}
    approvals = {"agent": agent, "kind": "approval", "status": "open"}
    return {
        "interrupts that expire": ("interrupts", expiring, {"due": ASCENDING}),
        "a thread's interrupts": ("interrupts", {"thread": f"{agent}/thread", "status": "open"}, {}),
        "open approvals": ("interrupts", approvals, {"since": ASCENDING, "_id": ASCENDING}),
    }


def _of_events(agent: str) -> dict[str, Query]:
    pending = {"agent": agent, "pending": "x"}
    waits = {"agent": agent, "got": "", "type": {"$in": ["x"]}, "subject": {"$in": [None, "x"]}}
    return {
        "events of a consumer": ("events", pending, {"position": ASCENDING}),
        "events of a subject": ("events", {**pending, "lane": "x"}, {"position": ASCENDING}),
        "open events": ("events", {"agent": agent, "open": True}, {}),
        "lanes of events": ("event_lanes", {"agent": agent}, {}),
        "waits for an event": ("event_waits", waits, {}),
        "dead letters": ("dead_letters", {"agent": agent, "consumer": "x"}, {"_id": ASCENDING}),
    }


def _of_state(agent: str) -> dict[str, Query]:
    log = LogKey(agent, "thread", "")
    below = {"agent": agent, "path": {"$gte": "x", "$lt": "y"}}
    return {
        "newest checkpoint": (COLLECTION, {"_id": log.head}, {}),
        "older checkpoints": (COLLECTION, {"_id": log.segments, "namespace": ""}, {"_id": DESCENDING}),
        "items below a namespace": ("items", below, {"updated_at": DESCENDING, "_id": ASCENDING}),
    }


async def scanning(database: AsyncDatabase[dict[str, Any]], agent: str) -> dict[str, bool]:
    """Tells of each query whether it reads a large collection as a whole.

    Raises:
        UnavailableError: MongoDB can't be used.
    """
    found: dict[str, bool] = {}
    async with answering():
        for name, (collection, wanted, order) in queries(agent).items():
            large = await database[collection].estimated_document_count() >= _LARGE
            asked = {"find": collection, "filter": wanted, **({"sort": order} if order else {}), "limit": 10}
            plan = await database.command("explain", asked, verbosity="queryPlanner") if large else {}
            found[name] = any(map(_scans, _stages(plan)))
    return found


def _stages(plan: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(plan, Mapping):
        yield plan
        for name, part in plan.items():
            # Plans that were turned down are no matter.
            if name != "rejectedPlans":
                yield from _stages(part)
    elif isinstance(plan, list):
        for part in plan:
            yield from _stages(part)


def _scans(stage: Mapping[str, Any]) -> bool:
    if stage.get("stage") == "COLLSCAN" or stage.get("Node Type") == "Seq Scan":
        return True
    # FerretDB goes through its primary index for a whole collection.
    return stage.get("Index Name") == "_id_" and "object_id" not in str(stage.get("Index Cond", ""))
