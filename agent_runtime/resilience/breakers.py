"""The breakers of an agent, one for each dependency, whose states its replicas share."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import structlog

from agent_runtime.resilience.breaker import CircuitBreaker, CircuitState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from agent_runtime.spec.breaker import BreakerSpec

    Guard = Callable[[], AbstractAsyncContextManager[None]]

from agent_runtime.spec.scalars import seconds

log = structlog.get_logger()

_FRESH = 1.0
"""Seconds for which a state that was read is not read again."""
_PATIENCE = 0.5
"""Longest wait for the store, in seconds; a call must not suffer from it."""
_PAUSE = 5.0
"""Seconds without the store after it failed."""


@dataclass(frozen=True, slots=True)
class SharedState:
    """What replicas tell each other; `mark` is another one each time, so that no clocks are compared."""

    state: CircuitState
    mark: str
    failures: int = 0
    """In a row, over all replicas."""


class BreakerStore(Protocol):
    """Keeps the states of breakers. Whatever it raises is taken as its being away."""

    async def read(self, name: str) -> SharedState | None:
        """The newest state that was told."""

    async def write(self, name: str, shared: SharedState, life: float) -> None:
        """Tells a state, which is of use for `life` seconds, and counts failures anew."""

    async def count(self, name: str, life: float) -> int:
        """Counts a failure; how many they are in a row, of which none is older than `life` seconds."""

    async def forget(self, name: str) -> None:
        """Counts failures anew."""


@asynccontextmanager
async def no_guard() -> AsyncIterator[None]:
    """For dependencies without a breaker."""
    yield


class SharedBreaker:
    """A breaker that opens and closes with those of other replicas, and counts failures with them.

    Each pod counts its own besides: while the store is away, that alone opens it.
    """

    def __init__(
        self, local: CircuitBreaker, store: BreakerStore | None, on_change: Callable[[str, CircuitState], None]
    ) -> None:
        self.local = local
        self._store = store
        self._on_change = on_change
        self._mark = ""
        self._failures = 0
        """That are counted in the store, as far as this pod knows."""
        self._known = CircuitState.CLOSED
        self._next_read = 0.0
        self._telling: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        """Asks the dependency inside.

        Raises:
            CircuitOpenError: It is not to be asked.
        """
        await self._listen()
        asked = False
        try:
            with self.local.guard():
                asked = True
                self._note()
                yield
        except Exception as error:
            if asked:
                self._tell_result(failed=self.local.counts(error))
            raise
        else:
            self._tell_result(failed=False)
        finally:
            self._note()

    async def close(self) -> None:
        """Ends what it is telling."""
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    def _note(self) -> None:
        """Tells the others of a change."""
        state = self.local.state
        if state is self._known:
            return
        self._known = state
        self._on_change(self.local.name, state)
        log.warning("breaker changed", dependency=self.local.name, state=state.value)
        # That it is half open each one finds out by itself.
        if self._store is not None and state is not CircuitState.HALF_OPEN:
            shared = SharedState(state, uuid4().hex)
            self._mark, self._failures = shared.mark, 0
            self._in_background(self._store.write(self.local.name, shared, self.local.settings.timeout * 10))

    def _tell_result(self, *, failed: bool) -> None:
        """Counts a failure with the others, or that it is over with them."""
        if self._store is None or self.local.state is not CircuitState.CLOSED:
            return
        if failed:
            self._in_background(self._count(self._store))
        elif self._failures:
            self._failures = 0
            self._in_background(self._store.forget(self.local.name))

    async def _count(self, store: BreakerStore) -> None:
        settings = self.local.settings
        self._failures = await store.count(self.local.name, settings.timeout * 10)
        if self._failures >= settings.failure_threshold and self.local.state is CircuitState.CLOSED:
            self.local.open()
            self._note()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        async def patiently() -> None:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await work
            except Exception as error:  # noqa: BLE001 - a store that fails must not hurt calls
                self._lost(error)

        task = asyncio.create_task(patiently())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _listen(self) -> None:
        if self._store is None or time.monotonic() < self._next_read:
            return
        self._next_read = time.monotonic() + _FRESH
        try:
            async with asyncio.timeout(_PATIENCE):
                shared = await self._store.read(self.local.name)
        except Exception as error:  # noqa: BLE001 - likewise
            self._lost(error)
            return
        if shared is None or self._telling:
            return
        self._failures = shared.failures
        if not shared.mark or shared.mark == self._mark:
            return
        self._mark = shared.mark
        if shared.state is CircuitState.OPEN:
            self.local.open()
        else:
            self.local.close()
        if self._known is not shared.state:
            self._known = shared.state
            self._on_change(self.local.name, shared.state)

    def _lost(self, error: Exception) -> None:
        self._next_read = time.monotonic() + _PAUSE
        log.info("the state of a breaker is not shared", dependency=self.local.name, kind=type(error).__name__)


class Breakers:
    """Makes the breakers of an agent; one for each name."""

    def __init__(
        self, store: BreakerStore | None = None, on_change: Callable[[str, CircuitState], None] = lambda *_: None
    ) -> None:
        self._store = store
        self._on_change = on_change
        self._made: dict[str, SharedBreaker] = {}

    def guard(self, name: str, spec: BreakerSpec | None) -> Guard:
        """What calls of a dependency go through; nothing for one without a spec."""
        if spec is None:
            return no_guard
        if name not in self._made:
            local = CircuitBreaker(name, spec.failure_threshold, seconds(spec.timeout), spec.success_threshold)
            self._made[name] = SharedBreaker(local, self._store, self._on_change)
            self._on_change(name, CircuitState.CLOSED)
        return self._made[name]

    def state(self, name: str) -> CircuitState | None:
        """The state of a breaker in this pod; None where there is no such breaker."""
        made = self._made.get(name)
        return made.local.state if made is not None else None

    async def close(self) -> None:
        """Ends what they are telling."""
        await asyncio.gather(*(breaker.close() for breaker in self._made.values()))
