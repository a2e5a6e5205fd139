"""Specs of agents that emit, get and await events, and what tests ask of them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from agent_runtime.events.event import Event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langgraph_sdk.client import LangGraphClient

    from agent_runtime.events.log import EventLog

STATE = {"order": {"type": "string"}, "seen": {"type": "array", "reduce": "append"}, "event": {"type": "object"}}
NOTE = {"name": "note", "uses": "set", "with": {"values": {"seen": "[state.order]"}}}
SUBSCRIPTION = {
    "name": "orders",
    "type": "shop.order.*",
    "filter": "event.data.total > 10",
    "start": {"input": {"order": "event.id"}, "threadKey": "event.subject"},
}


def subscribed(*, threads: bool = True, **more: Any) -> dict[str, Any]:
    """An agent whose runs note the ids of events, those of a subject in one thread."""
    start = {"input": {"order": "event.id"}, **({"threadKey": "event.subject"} if threads else {})}
    return {
        "workflow": {"state": STATE, "start": "note", "nodes": [NOTE]},
        "events": {"subscribe": [{**SUBSCRIPTION, "start": start}], **more},
    }


def emitting(kind: str = "shop.order.made") -> dict[str, Any]:
    """A node that emits an event of the state's order."""
    return {
        "name": "tell",
        "uses": "emit",
        "with": {
            "type": kind,
            "subject": "state.order",
            "data": "{'total': 20, 'order': state.order}",
            "save": "order",
        },
        "next": "end",
    }


def waiting(**params: Any) -> dict[str, Any]:
    """An agent that asks by an event, awaits the answer to its order, and notes it."""
    ask = {
        "name": "ask",
        "uses": "emit",
        "with": {"type": "shop.pay", "subject": "state.order", "data": "state.order"},
        "next": "paid",
    }
    paid = {
        "name": "paid",
        "uses": "wait",
        "with": {"type": "bank.paid", "subject": "state.order", "save": "event", **params},
        "next": "note",
    }
    late = {"name": "late", "uses": "set", "with": {"values": {"seen": "['late']"}}}
    nodes = [ask, paid, NOTE, late] if params.get("onTimeout") == "late" else [ask, paid, NOTE]
    return {"workflow": {"state": STATE, "start": "ask", "nodes": nodes}}


def order(number: int | str, subject: str | None = "s", total: int = 20, kind: str = "shop.order.made") -> Event:
    return Event(id=str(number), source="/shop", type=kind, subject=subject, data={"total": total})


async def thread_of(client: LangGraphClient, seen: str) -> dict[str, Any] | None:
    """The values of the thread in which an event was seen."""
    for thread in await client.threads.search(limit=1000):
        values = thread["values"] or (await client.threads.get_state(thread["thread_id"]))["values"]
        if isinstance(values, dict) and seen in values.get("seen", []):
            return values
    return None


async def seen(client: LangGraphClient) -> list[list[str]]:
    """What each thread has seen, in order."""
    found: list[list[str]] = []
    while page := await client.threads.search(limit=1000, offset=len(found)):
        for thread in page:
            values = (await client.threads.get_state(thread["thread_id"]))["values"]
            found.append(values.get("seen", []))
    return found


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = 30.0) -> Any:
    """What the condition gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (given := await condition()):
        assert time.monotonic() < deadline, "what was waited for did not come"
        await asyncio.sleep(0.02)
    return given


async def drained(log: EventLog) -> None:
    """Waits until everybody has got all events."""

    async def empty() -> bool:
        return await log._storage.backlog() == 0

    await eventually(empty)
