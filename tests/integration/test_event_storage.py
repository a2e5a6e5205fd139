"""Two dispatchers over one log in MongoDB, one of which dies, is frozen, or has another spec."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from agent_runtime.errors import UnavailableError
from agent_runtime.events.dispatcher import Dispatcher
from agent_runtime.events.log import EventLog
from agent_runtime.events.metrics import EventMetrics
from agent_runtime.events.mongo import MongoStorage
from agent_runtime.events.records import DeadLetter, Entry
from agent_runtime.state.connection import MongoConnection
from agent_runtime.state.records import now
from fakes.events import eventually, order

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agent_runtime.events.event import Event

LEASE = 2.0
LONG_LEASE = 60.0
"""For tests in which nobody is to be taken for dead."""


@dataclass
class Recorder:
    """Notes events; the first ones wait at the gate, where there is one."""

    got: list[str]
    name: str = "sink/x"
    gate: asyncio.Event | None = None
    begun: list[str] = field(default_factory=list)

    async def wants(self, event: Event) -> bool:
        return event.type != "unwanted"

    async def deliver(self, entry: Entry) -> None:
        self.begun.append(entry.event.id)
        if self.gate is not None:
            await self.gate.wait()
        self.got.append(entry.event.id)


@dataclass
class Pod:
    log: EventLog
    dispatcher: Dispatcher
    storage: MongoStorage

    def die(self) -> None:
        """Ends all that it does, as a kill would: nothing is let go."""
        for task in [*self.dispatcher._loops, *self.dispatcher._serving.values()]:
            task.cancel()


@asynccontextmanager
async def pod(uri: str, database: str, *consumers: Recorder, lease: float = LEASE) -> AsyncIterator[Pod]:
    connection, metrics = MongoConnection(lambda: uri, database), EventMetrics(CollectorRegistry())
    storage = MongoStorage(connection, "tests/agent", 60.0)
    log = EventLog(storage, consumers, 1000, metrics)
    dispatcher = Dispatcher(storage, consumers, metrics, attempts=2, lease_timeout=lease, first_pause=0.05)
    dispatcher.hear(log)
    await dispatcher.prepare()
    dispatcher.start()
    try:
        yield Pod(log, dispatcher, storage)
    finally:
        await dispatcher.close()
        await connection.close()


async def test_a_lane_of_a_pod_that_died_goes_on_elsewhere_in_order(mongodb_uri, database):
    got: list[str] = []
    stuck = Recorder(got, gate=asyncio.Event())
    async with pod(mongodb_uri, database, stuck) as first:
        for number in range(5):
            await first.log.append(order(number, "a"))
        await eventually(lambda: _is(stuck.begun, ["0"]))
        async with pod(mongodb_uri, database, Recorder(got)) as second:
            await second.log.append(order(5, "a"))
            first.die()
            await eventually(lambda: _is(got, [str(number) for number in range(6)]), LEASE + 10)
            await eventually(lambda: _free(second.storage))


async def test_a_lane_is_kept_as_long_as_its_pod_lives(mongodb_uri, database):
    got: list[str] = []
    gate = asyncio.Event()
    slow = Recorder(got, gate=gate)
    other = Recorder(got)
    async with pod(mongodb_uri, database, slow) as first, pod(mongodb_uri, database, other) as second:
        await first.log.append(order(0, "a"))
        await eventually(lambda: _is(slow.begun, ["0"]))
        await second.log.append(order(1, "a"))
        await asyncio.sleep(2 * LEASE)  # longer than a lease that is not renewed
        assert other.begun == []
        gate.set()
        await eventually(lambda: _is(got, ["0", "1"]))


async def test_a_pod_that_lost_its_lane_delivers_no_more_of_it(mongodb_uri, database, monkeypatch):
    got: list[str] = []
    gate = asyncio.Event()
    frozen = Recorder([], gate=gate)
    async with pod(mongodb_uri, database, frozen) as first, pod(mongodb_uri, database, Recorder(got)) as second:

        async def silent(_: object) -> set[str]:
            raise UnavailableError("as if it were frozen")

        monkeypatch.setattr(first.storage, "renew", silent)
        await first.log.append(order(0, "a"))
        await eventually(lambda: _is(frozen.begun, ["0"]))
        await second.log.append(order(1, "a"))
        await eventually(lambda: _is(got, ["0", "1"]), LEASE + 10)
        gate.set()
        await second.log.append(order(2, "a"))
        await eventually(lambda: _is(got, ["0", "1", "2"]))
        await eventually(lambda: _is(frozen.got, ["0"]))
        assert frozen.begun == ["0"]


async def test_a_pod_that_ends_lets_its_lanes_go_at_once(mongodb_uri, database):
    got: list[str] = []
    stuck = Recorder(got, gate=asyncio.Event())
    async with pod(mongodb_uri, database, stuck, lease=LONG_LEASE) as first:
        await first.log.append(order(0, "a"))
        await eventually(lambda: _is(stuck.begun, ["0"]))
        first.dispatcher.drain()
        await first.dispatcher.close()
        # The other one begins to look after a second, and is done long before the lease could be over.
        async with pod(mongodb_uri, database, Recorder(got), lease=LONG_LEASE):
            await eventually(lambda: _is(got, ["0"]), LONG_LEASE / 3)


async def test_two_consumers_close_an_event_together(mongodb_uri, database):
    one, two = Recorder([], "sink/one"), Recorder([], "sink/two")
    async with pod(mongodb_uri, database, one, two) as it:
        await asyncio.gather(*(it.log.append(order(number, str(number % 3))) for number in range(30)))

        async def empty() -> bool:
            return await it.storage.backlog() == 0

        await eventually(empty, 20.0)
        assert len(one.got) == len(two.got) == 30
        assert not await it.log.append(order(7, "x"))


async def test_a_dead_letter_outlives_its_event_and_too_many_go(mongodb_uri, database):
    async with pod(mongodb_uri, database) as it:
        storage = it.storage
        for number in range(5):
            assert await storage.add(_entry(number), ["sink/x"])
            (lane,) = await storage.waiting("sink/x", (), 5)
            (entry,) = await storage.pending("sink/x", lane, 5)
            await storage.bury(DeadLetter("sink/x", entry, "no", 2))
        assert await storage.trim(3) == 2
        letters = await storage.letters("sink/x", 10, "")
        assert sorted(letter.entry.event.id for letter in letters) == ["2", "3", "4"]
        assert await storage.letters("sink/y", 10, "") == []
        await storage._events.delete_many({})
        await storage.exhume(letters[0])
        (lane,) = await storage.waiting("sink/x", (), 5)
        assert await storage.pending("sink/x", lane, 5) == [letters[0].entry]
        assert await storage.letter_count() == 2
        assert await storage.forget(["sink/y"], now()) == 1
        assert await storage.backlog() == 0


async def test_a_position_is_above_all_that_were_given_before(mongodb_uri, database):
    async with pod(mongodb_uri, database) as one, pod(mongodb_uri, database) as two:
        for number in range(10):
            assert await (one, two)[number % 2].storage.add(_entry(number, "a"), ["sink/x"])
        (lane,) = await one.storage.waiting("sink/x", (), 5)
        found = await one.storage.pending("sink/x", lane, 20)
        assert [entry.event.id for entry in found] == [str(number) for number in range(10)]
        assert await one.storage.forget([], now()) == 1


async def _is(found: list[str], expected: list[str]) -> bool:
    return found == expected


async def _free(storage: MongoStorage) -> bool:
    return await storage.lanes() == []


def _entry(number: int, subject: str | None = None) -> Entry:
    return Entry(order(number, subject))


async def test_the_events_of_one_owner_are_counted_and_left_out(mongodb_uri, database):
    consumer = Recorder([], gate=asyncio.Event())
    async with pod(mongodb_uri, database, consumer) as it:
        it.dispatcher.drain()
        entries = [Entry(order(number), owner) for number, owner in enumerate(("apiKey|a", "apiKey|a", "apiKey|b"))]
        for entry in entries:
            await it.storage.add(entry, [consumer.name])
        counts = [await it.storage.backlog(owner) for owner in ("apiKey|a", "apiKey|b", "apiKey|c", None)]
        assert counts == [2, 1, 0, 3]
        (lane,) = await it.storage.waiting(consumer.name, (), 10, without=["apiKey|a"])
        assert lane == entries[2].lane
        taken = await it.storage.take(consumer.name, lane, "token")
        assert taken is not None
        await it.storage.put_off(replace(taken, owner="apiKey|b", due=now()))
        assert [one.owner for one in await it.storage.lanes()] == ["apiKey|b"]
