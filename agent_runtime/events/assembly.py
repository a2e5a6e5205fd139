"""The events of an agent, put together from its spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_runtime.events.dispatcher import Dispatcher
from agent_runtime.events.log import EventLog
from agent_runtime.events.match import Match
from agent_runtime.events.metrics import EventMetrics
from agent_runtime.events.subscription import Subscription
from agent_runtime.events.waits import Waits
from agent_runtime.spec.events import EventsSpec
from agent_runtime.spec.scalars import seconds
from agent_runtime.spec.uses import wait_nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from agent_runtime.events.consumer import Consumer
    from agent_runtime.events.event import Event
    from agent_runtime.events.records import Entry
    from agent_runtime.events.sink import Outgoing
    from agent_runtime.events.storage import Storage
    from agent_runtime.events.wait import Wait, WaitStorage
    from agent_runtime.runs.service import RunService
    from agent_runtime.spec.agent import RuntimeConfig
    from agent_runtime.state.checkpoints.seal import Sealer
    from agent_runtime.state.connection import MongoConnection


@dataclass(frozen=True)
class Events:
    """What an agent has to do with events; a part of the agent."""

    log: EventLog
    dispatcher: Dispatcher
    waits: Waits
    source: str
    """Of the events that it emits."""

    async def emit(self, event: Event, owner: str) -> bool:
        return await self.log.append(event, owner, emitted=True)

    async def begin_wait(self, wait: Wait) -> Entry | None:
        return await self.waits.begin(wait)

    async def end_wait(self, wait: Wait) -> None:
        await self.waits.storage.end(wait.key)

    @classmethod
    def of(
        cls,
        config: RuntimeConfig,
        kept: tuple[Storage, WaitStorage],
        registry: CollectorRegistry,
        runs: Callable[[], RunService],
        outgoing: Outgoing,
        *,
        lease_timeout: float,
    ) -> Events:
        """From the spec. `runs` is asked for at deliveries."""
        spec, metrics = config.spec.events or EventsSpec(), EventMetrics(registry)
        storage, waiting = kept
        consumers: list[Consumer] = [
            Subscription.of(one, runs, metrics.filter_errors.labels(f"subscribe/{one.name}").inc)
            for one in spec.subscribe
        ]
        consumers += [outgoing.sink(one, metrics.filter_errors.labels(f"sink/{one.name}").inc) for one in spec.sinks]
        patterns = [Match(node.with_.type, node.with_.source) for node in wait_nodes(config.spec)]
        waits = Waits(patterns, waiting, runs)
        if patterns:
            consumers.append(waits)
        log = EventLog(storage, consumers, spec.max_pending, metrics)
        dispatcher = Dispatcher(storage, consumers, metrics, attempts=spec.attempts, lease_timeout=lease_timeout)
        dispatcher.hear(log)
        return cls(log, dispatcher, waits, outgoing.source)

    async def prepare(self) -> None:
        """Makes what has to be in the state."""
        await self.waits.storage.prepare()
        await self.dispatcher.prepare()

    def start(self) -> None:
        """Begins to deliver."""
        self.dispatcher.start()

    @property
    def healthy(self) -> bool:
        """Whether events are delivered."""
        return self.dispatcher.healthy

    def drain(self) -> None:
        """Takes on nothing new."""
        self.dispatcher.drain()

    async def close(self) -> None:
        """Ends; other pods go on."""
        await self.dispatcher.close()


def storages(
    config: RuntimeConfig, connection: MongoConnection | None, sealer: Callable[[], Sealer | None]
) -> tuple[Storage, WaitStorage]:
    """Where events are kept, and who waits for some. `sealer` is asked for when the agent starts."""
    agent, life = config.agent.key, seconds((config.spec.events or EventsSpec()).retention)
    if connection is None:
        from agent_runtime.events.memory import MemoryStorage  # noqa: PLC0415 - only what is used is loaded
        from agent_runtime.events.memory_waits import MemoryWaits  # noqa: PLC0415 - likewise

        return MemoryStorage(life), MemoryWaits(life)
    from agent_runtime.events.mongo import MongoStorage  # noqa: PLC0415 - likewise
    from agent_runtime.events.mongo_waits import MongoWaits  # noqa: PLC0415 - likewise

    return MongoStorage(connection, agent, life, sealer), MongoWaits(connection, agent, life, sealer)
