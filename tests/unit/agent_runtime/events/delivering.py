"""A consumer that tests drive, and a log in memory with its dispatcher."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from agent_runtime.events.dispatcher import Dispatcher
from agent_runtime.events.event import Event
from agent_runtime.events.log import EventLog
from agent_runtime.events.memory import MemoryStorage
from agent_runtime.events.metrics import EventMetrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agent_runtime.events.records import Entry
    from agent_runtime.events.storage import Storage


def event(number: int | str, subject: str | None = None, kind: str = "t", **extensions: str | int) -> Event:
    return Event(id=str(number), source="/test", type=kind, subject=subject, extensions=dict(extensions))


@dataclass
class Recorder:
    """Takes events, or raises what `trouble` says for them."""

    name: str = "subscribe/one"
    trouble: Callable[[Entry], Exception | None] = lambda _: None
    got: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def wants(self, event: Event) -> bool:
        return event.type != "unwanted"

    async def deliver(self, entry: Entry) -> None:
        self.tried.append(entry.event.id)
        if self.gate is not None:
            await self.gate.wait()
        if error := self.trouble(entry):
            raise error
        self.got.append(entry.event.id)


@dataclass
class Post:
    log: EventLog
    storage: Storage
    dispatcher: Dispatcher
    registry: CollectorRegistry

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def post(*consumers: Recorder, most: int = 100, attempts: int = 3, pause: float = 0.01) -> AsyncIterator[Post]:
    registry = CollectorRegistry()
    metrics, storage = EventMetrics(registry), MemoryStorage(60.0)
    log = EventLog(storage, consumers, most, metrics)
    dispatcher = Dispatcher(storage, consumers, metrics, attempts=attempts, lease_timeout=5.0, first_pause=pause)
    dispatcher.hear(log)
    await dispatcher.prepare()
    dispatcher.start()
    try:
        yield Post(log, storage, dispatcher, registry)
    finally:
        await dispatcher.close()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        await asyncio.sleep(0.002)
