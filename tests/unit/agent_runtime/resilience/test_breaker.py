"""The states of a breaker, and how replicas share them."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.resilience import breakers
from agent_runtime.resilience.breaker import CircuitBreaker, CircuitOpenError, CircuitState
from agent_runtime.resilience.breakers import Breakers, SharedState, no_guard
from agent_runtime.spec.breaker import BreakerSpec

if TYPE_CHECKING:
    from agent_runtime.resilience.breakers import Guard

DOWN = CallError(CallErrorKind.SERVER, "it is down")
WRONG = CallError(CallErrorKind.REFUSED, "a wrong request")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def ask(breaker: CircuitBreaker, error: Exception | None = None) -> str:
    """What comes of a call: "ok", "failed", or "not asked"."""
    try:
        with breaker.guard():
            if error:
                raise error
    except CircuitOpenError:
        return "not asked"
    except CallError:
        return "failed"
    return "ok"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker("it", failure_threshold=3, timeout=10, success_threshold=2, clock=clock)


def test_it_opens_after_failures_in_a_row(breaker: CircuitBreaker):
    assert [ask(breaker, DOWN), ask(breaker, DOWN), ask(breaker)] == ["failed", "failed", "ok"]
    assert [ask(breaker, DOWN) for _ in range(4)] == ["failed", "failed", "failed", "not asked"]
    assert breaker.state is CircuitState.OPEN


def test_what_the_dependency_refuses_is_no_failure_of_it(breaker: CircuitBreaker):
    assert [ask(breaker, WRONG) for _ in range(9)] == ["failed"] * 9
    assert breaker.state is CircuitState.CLOSED


def test_after_its_timeout_it_closes_by_successes(breaker: CircuitBreaker, clock: Clock):
    for _ in range(3):
        ask(breaker, DOWN)
    clock.now = 9.9
    assert ask(breaker) == "not asked"
    clock.now = 10
    assert breaker.state is CircuitState.HALF_OPEN
    assert ask(breaker) == "ok"
    assert breaker.state is CircuitState.HALF_OPEN
    assert ask(breaker) == "ok"
    assert breaker.state is CircuitState.CLOSED


def test_one_failure_opens_a_half_open_one_again(breaker: CircuitBreaker, clock: Clock):
    for _ in range(3):
        ask(breaker, DOWN)
    clock.now = 10
    assert [ask(breaker), ask(breaker, DOWN), ask(breaker)] == ["ok", "failed", "not asked"]
    clock.now = 20
    assert ask(breaker) == "ok"


def test_a_half_open_one_is_tried_one_at_a_time(breaker: CircuitBreaker, clock: Clock):
    breaker.open()
    clock.now = 10
    with breaker.guard():
        assert ask(breaker) == "not asked"
    assert ask(breaker) == "ok"


async def test_a_trial_that_is_cancelled_makes_room_for_another(breaker: CircuitBreaker, clock: Clock):
    breaker.open()
    clock.now = 10

    @breaker
    async def hang() -> None:
        await asyncio.sleep(60)

    with suppress(TimeoutError):
        await asyncio.wait_for(hang(), 0.01)
    assert ask(breaker) == "ok"


def test_who_is_not_served_is_told_when_to_come_again(breaker: CircuitBreaker, clock: Clock):
    breaker.open()
    clock.now = 4
    with pytest.raises(
        CircuitOpenError, match=r"it was not asked: it failed too often, and is tried again in 6 s"
    ) as e:
        ask_through(breaker)
    assert e.value.retry_after == 6
    assert e.value.kind is CallErrorKind.CIRCUIT_OPEN


def test_who_comes_while_another_tries_is_not_told_to_come_at_once(breaker: CircuitBreaker, clock: Clock):
    breaker.open()
    clock.now = 10
    with breaker.guard(), pytest.raises(CircuitOpenError, match="another call tries it now") as e:
        ask_through(breaker)
    assert e.value.retry_after is None


def ask_through(breaker: CircuitBreaker) -> None:
    with breaker.guard():
        pass


def test_it_decorates_functions(breaker: CircuitBreaker):
    @breaker
    def fail() -> None:
        raise ConnectionError

    for _ in range(3):
        with pytest.raises(ConnectionError):
            fail()
    with pytest.raises(CircuitOpenError):
        fail()


class Shelf:
    """A store that can be lost."""

    def __init__(self) -> None:
        self.kept: dict[str, SharedState] = {}
        self.lost = False
        self.asked = 0

    async def read(self, name: str) -> SharedState | None:
        self.asked += 1
        if self.lost:
            await asyncio.sleep(60)
        return self.kept.get(name)

    async def write(self, name: str, shared: SharedState, _life: float) -> None:
        if self.lost:
            raise ConnectionError
        self.kept[name] = shared


SPEC = BreakerSpec(failure_threshold=2, timeout="300ms", success_threshold=1)


async def call(guard: Guard, error: Exception | None = None) -> str:
    try:
        async with guard():
            if error:
                raise error
    except CircuitOpenError:
        return "not asked"
    except CallError:
        return "failed"
    return "ok"


async def becomes(guard: Guard, wanted: str) -> None:
    deadline = time.monotonic() + 5
    while await call(guard) != wanted:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_replicas_open_and_close_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(breakers, "_FRESH", 0.02)
    shelf, told = Shelf(), []
    registries = [Breakers(shelf, lambda name, state: told.append((name, state.value))) for _ in range(2)]
    one, two = [registry.guard("model m", SPEC) for registry in registries]
    assert [await call(one, DOWN), await call(one, DOWN), await call(one)] == ["failed", "failed", "not asked"]
    await becomes(two, "not asked")
    await becomes(one, "ok")
    await becomes(two, "ok")
    states = [state for _, state in told]
    assert states[:2] == ["closed", "closed"], "both were told at the start"
    assert states.count("open") == 2
    assert states[-1] == "closed"
    for registry in registries:
        await registry.close()


async def test_a_lost_store_holds_up_no_call(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(breakers, "_PATIENCE", 0.05)
    shelf = Shelf()
    shelf.lost = True
    guard = Breakers(shelf).guard("model m", SPEC)
    began = time.monotonic()
    assert [await call(guard) for _ in range(50)] == ["ok"] * 50
    assert time.monotonic() - began < 1
    assert shelf.asked == 1, "it is left alone for a while"
    assert [await call(guard, DOWN), await call(guard, DOWN), await call(guard)] == ["failed", "failed", "not asked"]
    await asyncio.sleep(0)


async def test_a_dependency_without_a_spec_has_none():
    assert Breakers().guard("model m", None) is no_guard
    assert await call(no_guard, DOWN) == "failed"


async def test_one_name_is_one_breaker():
    registry = Breakers()
    assert registry.guard("host a:80", SPEC) is registry.guard("host a:80", SPEC)
    assert registry.guard("host a:80", SPEC) is not registry.guard("host b:80", SPEC)
