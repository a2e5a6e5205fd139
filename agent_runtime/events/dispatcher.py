"""Delivers the events of the log: at least once, and in order within each lane."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from agent_runtime.errors import InputError, TooManyRequestsError, UnavailableError, UnreadableError
from agent_runtime.events.errors import RefusedError
from agent_runtime.events.records import DeadLetter, Lane
from agent_runtime.loops import Loop
from agent_runtime.runs.leases import LeaseWatch
from agent_runtime.state.records import Lease, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_runtime.events.consumer import Consumer
    from agent_runtime.events.log import EventLog
    from agent_runtime.events.metrics import EventMetrics
    from agent_runtime.events.records import Entry
    from agent_runtime.events.storage import Storage

log = structlog.get_logger()

_POLL = 1.0
"""Seconds between looks for events that no pod delivers; one that is accepted here is delivered at once."""
_AT_ONCE = 32
"""Lanes of one consumer that are delivered here at a time."""
_PUT_OFF = 1000
"""Lanes of one consumer that wait for another attempt; with more, it is taken for dead and gets no new ones."""
_PUT_OFF_OF_ONE = 200
"""Of those of one owner; with more, the consumer gets no new ones of that owner."""
_PAGE = 20
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 60.0
_LONGEST_ERROR = 500
_TIDY = 60.0
_LETTERS = 10_000
"""Dead letters of an agent that are kept; then the oldest go."""
_ROLLED_OUT = timedelta(minutes=10)
"""How long events for consumers that the spec does not have are kept: pods of the next release may know them."""


class Dispatcher:
    """Takes lanes by lease, delivers what waits in them, and lets them go; a part of the agent."""

    def __init__(
        self,
        storage: Storage,
        consumers: Sequence[Consumer],
        metrics: EventMetrics,
        *,
        attempts: int,
        lease_timeout: float,
        first_pause: float = 1.0,
    ) -> None:
        """`lease_timeout` and `first_pause`, which doubles with each attempt, are in seconds."""
        self._storage = storage
        self._consumers = {consumer.name: consumer for consumer in consumers}
        self._metrics = metrics
        self._attempts = attempts
        self._timeout = lease_timeout
        self._first_pause = first_pause
        self._watch = LeaseWatch(lease_timeout)
        self._serving: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._again: set[tuple[str, str]] = set()
        self._held: dict[str, Lane] = {}
        self._beaten: dict[str, float] = {}
        """When this pod last knew that it holds a lane, by its token."""
        self._loops: list[asyncio.Task[None]] = []
        self._woken = asyncio.Event()
        self._draining = False
        self._tidied = float("-inf")

    def hear(self, events: EventLog) -> None:
        """Delivers what comes into this log here at once."""
        events.listen(self.offer)

    async def prepare(self) -> None:
        """Makes what has to be in the state."""
        await self._storage.prepare()

    def start(self) -> None:
        """Begins to deliver."""
        self._loops = [asyncio.create_task(loop()) for loop in (self._look_forever, self._beat_forever)]

    @property
    def healthy(self) -> bool:
        """Whether it still looks for events."""
        return not any(loop.done() for loop in self._loops)

    def drain(self) -> None:
        """Takes no more lanes; other pods do."""
        self._draining = True

    async def close(self) -> None:
        """Ends. What is being delivered may be delivered once more by another pod."""
        self._draining = True
        tasks = [*self._loops, *self._serving.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def offer(self, consumer: str, lane: str) -> None:
        """Says that a lane has something to deliver; without names, that any may have."""
        if not consumer:
            self._woken.set()
        elif (consumer, lane) in self._serving:
            self._again.add((consumer, lane))
        elif self._takes(consumer):
            task = asyncio.create_task(self._serve(consumer, lane))
            self._serving[consumer, lane] = task
            task.add_done_callback(lambda _: self._served(consumer, lane))

    def _takes(self, consumer: str) -> bool:
        """Whether a lane of it can be delivered now; else a look finds it later."""
        known = bool(self._loops) and consumer in self._consumers and not self._draining
        return known and sum(name == consumer for name, _ in self._serving) < _AT_ONCE

    def _served(self, consumer: str, lane: str) -> None:
        self._serving.pop((consumer, lane), None)
        if (consumer, lane) in self._again:
            self._again.discard((consumer, lane))
            self.offer(consumer, lane)
        elif sum(name == consumer for name, _ in self._serving) == _AT_ONCE - 1:
            self._woken.set()  # there may be lanes that found no place

    async def _look_forever(self) -> None:
        loop = Loop("events")
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await self._woken.wait()
            self._woken.clear()
            async with loop.turn():
                try:
                    await self._look()
                except UnavailableError:
                    self._watch.forget()

    async def _look(self) -> None:
        """Offers what waits and nobody delivers, and frees lanes of pods that died."""
        waiting = await self._storage.backlog()
        self._metrics.pending.set(waiting)
        await self._tidy()
        if not waiting or self._draining:
            return
        lanes = {(lane.consumer, lane.lane): lane for lane in await self._storage.lanes()}
        others = {lane.token: lane for lane in lanes.values() if lane.token and lane.token not in self._held}
        leases = [Lease(lane.lane, lane.token, beat=lane.beat) for lane in others.values()]
        for lease in self._watch.dead(leases, time.monotonic()):
            dead = others[lease.token]
            log.warning("taking over events from a pod that died", consumer=dead.consumer)
            await self._storage.free(dead)
            del lanes[dead.consumer, dead.lane]
        moment = now()
        busy = {key for key, lane in lanes.items() if lane.token or (lane.due and lane.due > moment)}
        busy |= self._serving.keys()
        for name in self._consumers:
            besides = [lane for consumer, lane in busy if consumer == name]
            if len(besides) < _PUT_OFF:
                owners = Counter(lanes[name, lane].owner for lane in besides if (name, lane) in lanes)
                without = [owner for owner, count in owners.items() if owner and count >= _PUT_OFF_OF_ONE]
                for lane in await self._storage.waiting(name, besides, _AT_ONCE, without=without):
                    self.offer(name, lane)

    async def _tidy(self) -> None:
        """Removes, from time to time, what there is no room or no consumer for."""
        if time.monotonic() - self._tidied < _TIDY:
            return
        self._tidied = time.monotonic()
        self._metrics.dead_letters.set(await self._storage.letter_count())
        dropped = await self._storage.trim(_LETTERS)
        if dropped:
            self._metrics.dropped.inc(dropped)
            log.warning("removed the oldest dead letters, since there are too many", count=dropped, most=_LETTERS)
        if gone := await self._storage.forget(list(self._consumers), now() - _ROLLED_OUT):
            log.warning("forgot events for consumers that the spec no longer has", consumers=gone)

    async def _beat_forever(self) -> None:
        loop = Loop("event leases", self._timeout / 4)
        while True:
            await asyncio.sleep(self._timeout / 4)
            if not self._held:
                continue
            lanes, asked = list(self._held.values()), time.monotonic()
            async with loop.turn():
                held = await self._storage.renew(lanes)
                for lane in lanes:
                    if lane.token in held and lane.token in self._beaten:
                        self._beaten[lane.token] = asked
                    elif task := self._serving.get((lane.consumer, lane.lane)):
                        task.cancel()

    async def _serve(self, consumer: str, lane: str) -> None:
        """Delivers all that a lane has, and looks once more after letting it go: what came just before is seen."""
        try:
            while not self._draining:
                asked = time.monotonic()
                taken = await self._storage.take(consumer, lane, uuid4().hex)
                if taken is None:
                    return
                self._held[taken.token], self._beaten[taken.token] = taken, asked
                try:
                    emptied = await self._deliver(self._consumers[consumer], taken)
                finally:
                    self._held.pop(taken.token, None)
                    self._beaten.pop(taken.token, None)
                if not emptied or not await self._storage.pending(consumer, lane, 1):
                    return
        except UnavailableError:
            return  # whoever looks next goes on, when the lease is over
        except Exception:
            log.exception("events can't be delivered", consumer=consumer)

    async def _deliver(self, consumer: Consumer, lane: Lane) -> bool:
        """Whether the lane is empty and free; else it waits for another attempt, or another pod has taken it."""
        try:
            while entries := await self._storage.pending(lane.consumer, lane.lane, _PAGE):
                for entry in entries:
                    if self._draining:
                        await self._storage.free(lane)
                        return False
                    if time.monotonic() - self._beaten.get(lane.token, 0.0) > self._timeout / 2:
                        return False  # another pod may hold the lane by now
                    if lane.head != entry.key:
                        lane = replace(lane, head=entry.key, attempts=0, owner=entry.owner)
                    pause = await self._attempt(consumer, lane, entry)
                    if pause is not None:
                        await self._wait(lane, *pause)
                        return False
            await self._storage.free(lane)
        except UnreadableError:
            # Until its key is there. Lanes that wait leave their places to others.
            await self._wait(lane, _LONGEST_PAUSE, lane.attempts)
            return False
        except asyncio.CancelledError:
            if self._draining:
                with suppress(UnavailableError):
                    await self._storage.free(lane)
            raise
        return True

    async def _wait(self, lane: Lane, seconds: float, attempts: int) -> None:
        due = now() + timedelta(seconds=seconds)
        await self._storage.put_off(replace(lane, attempts=attempts, due=due))
        loop = asyncio.get_running_loop()
        loop.call_later(seconds + 0.005, self.offer, lane.consumer, lane.lane)

    async def _attempt(self, consumer: Consumer, lane: Lane, entry: Entry) -> tuple[float, int] | None:
        """Delivers an event; or the pause before the next attempt, and how many there were."""
        count = self._metrics.delivered.labels
        try:
            await consumer.deliver(entry)
        except (UnavailableError, TooManyRequestsError) as error:
            count(consumer.name, "postponed").inc()
            return min(max(error.retry_after, _SHORTEST_PAUSE), _LONGEST_PAUSE), lane.attempts
        except Exception as error:  # noqa: BLE001 - kept with the event
            attempts = lane.attempts + 1
            told = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
            final = isinstance(error, RefusedError | InputError) or attempts >= self._attempts
            if not final:
                count(consumer.name, "failed").inc()
                log.warning("an event is tried again", consumer=consumer.name, attempt=attempts, quoted=told)
                asked = getattr(error, "retry_after", None) or 0.0
                return min(max(self._first_pause * 2 ** (attempts - 1), asked), _LONGEST_PAUSE), attempts
            log.warning("an event becomes a dead letter", consumer=consumer.name, attempts=attempts, quoted=told)
            await self._storage.bury(DeadLetter(consumer.name, entry, told, attempts))
            self._tidied = float("-inf")  # counts them soon
            count(consumer.name, "dead").inc()
            return None
        await self._storage.done(entry, consumer.name)
        count(consumer.name, "delivered").inc()
        self._metrics.lag.labels(consumer.name).observe(max(0.0, (now() - entry.accepted_at).total_seconds()))
        return None
