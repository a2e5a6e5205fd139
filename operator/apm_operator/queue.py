"""The work queue: which objects are to be looked at, each at most once at a time.

The same rules as client-go's workqueue: a key that is added while it waits stays there once; a key that is added while
it is worked on comes back when that pass ends; a key that failed comes back after its own growing delay. Beyond them, a
key whose pass left only what can wait comes back when no other waits.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol

from apm_operator import metrics
from apm_operator.kinds import AGENTS

_FIRST_DELAY = 1.0
_LONGEST_DELAY = 300.0
_PATIENCE_SECONDS = 30.0
"""A key that can wait comes before the others after this time, so that a load without an end holds none up for ever."""


class Key(NamedTuple):
    """Names one AgentDeployment, or an object of another kind that the operator serves."""

    namespace: str
    name: str
    kind: str = AGENTS.kind


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Don't make the call."""

    def when(self) -> float:
        """Time of the call."""


class Clock(Protocol):
    """The part of an event loop that the queue needs; tests bring their own."""

    def time(self) -> float:
        """Seconds, monotonic."""

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: object) -> Timer:
        """Call back after `delay` seconds."""


class WorkQueue:
    """Keys that wait, by the order in which they came."""

    def __init__(self, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._jitter = jitter
        self._waiting: OrderedDict[Key, float] = OrderedDict()
        self._later: OrderedDict[Key, float] = OrderedDict()
        self._active: dict[Key, float] = {}
        self._dirty: set[Key] = set()
        self._timers: dict[Key, Timer] = {}
        self._failures: dict[Key, int] = {}
        self._moved = clock.time()
        self._arrived = asyncio.Semaphore(0)

    def add(self, key: Key) -> None:
        """Have a pass made over `key` as soon as a worker is free."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._active:
            self._dirty.add(key)
        elif key not in self._waiting:
            self._waiting[key] = self._clock.time()
            if self._later.pop(key, None) is None:
                self._arrived.release()

    def add_after(self, key: Key, delay: float) -> None:
        """Have a pass made over `key` in `delay` seconds, unless one is due earlier."""
        if key in self._waiting:
            return
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= self._clock.time() + delay:
                return
            timer.cancel()
        self._timers[key] = self._clock.call_later(delay, self._due, key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def get(self) -> Key:
        """Wait for a key; the caller says `done` when its pass is over."""
        await self._arrived.acquire()
        key, _ = (self._waiting if self._waiting and not self._overdue() else self._later).popitem(last=False)
        self._active[key] = self._moved = self._clock.time()
        return key

    def _overdue(self) -> bool:
        return bool(self._later) and self._clock.time() - next(iter(self._later.values())) > _PATIENCE_SECONDS

    def done(self, key: Key, *, later: bool = False) -> None:
        """The pass over `key` has ended; with `later` it left something that can wait until no other key does."""
        del self._active[key]
        self._moved = self._clock.time()
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)
        elif later:
            self._later[key] = self._moved
            self._arrived.release()

    def retry(self, key: Key, at_least: float = 0.0) -> float:
        """Have another pass made after the key's backoff: 1, 2, 4 ... 300 s, a fifth more or less.

        Returns:
            The delay in seconds.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(_FIRST_DELAY * 2.0 ** min(failures, 16), _LONGEST_DELAY)
        delay = max(delay * (0.8 + 0.4 * self._jitter()), at_least)
        metrics.QUEUE_RETRIES.inc()
        self.add_after(key, delay)
        return delay

    def failures(self, key: Key) -> int:
        """How often in a row the passes over `key` have failed."""
        return self._failures.get(key, 0)

    def succeeded(self, key: Key) -> None:
        """The next failure of `key` starts at the shortest delay again."""
        self._failures.pop(key, None)

    def forget(self, key: Key) -> None:
        """`key` is gone: no pass is due over it any more."""
        self._failures.pop(key, None)
        self._dirty.discard(key)
        if timer := self._timers.pop(key, None):
            timer.cancel()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._later)

    def active(self) -> int:
        """Number of passes that are being made."""
        return len(self._active)

    def pressed(self) -> bool:
        """Whether keys wait that can't wait."""
        return bool(self._waiting)

    def oldest(self) -> float:
        """Seconds that the key which waits longest has waited."""
        heads = [next(iter(keys.values())) for keys in (self._waiting, self._later) if keys]
        return self._clock.time() - min(heads) if heads else 0.0

    def stalled(self) -> float:
        """Seconds for which a key has waited and no pass has begun or ended; a long queue that moves is none."""
        return min(self.oldest(), self._clock.time() - self._moved)

    def longest_pass(self) -> float:
        """Seconds since the start of the pass that has gone on longest."""
        return self._clock.time() - min(self._active.values()) if self._active else 0.0
