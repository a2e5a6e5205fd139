"""Loops outlive what nobody expected, and tell of it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from agent_runtime import loops
from agent_runtime.crons.memory import MemoryCrons
from agent_runtime.crons.metrics import CronMetrics
from agent_runtime.crons.ticker import Ticker
from agent_runtime.errors import UnavailableError
from agent_runtime.events.dispatcher import Dispatcher
from agent_runtime.events.memory import MemoryStorage
from agent_runtime.events.metrics import EventMetrics
from agent_runtime.loops import FAILURES, Loop
from agent_runtime.metrics import Metrics
from agent_runtime.runs.deadlines import Deadlines
from agent_runtime.runs.gauges import Gauges
from agent_runtime.runs.heartbeat import Heartbeat
from agent_runtime.runs.lookout import Lookout
from agent_runtime.runs.sweeper import Sweeper
from agent_runtime.state.link import StateLink
from agent_runtime.state.memory import MemoryStore
from agent_runtime.state.records import Lease
from fakes.agents import config, running

if TYPE_CHECKING:
    from collections.abc import Callable


class Broken:
    """Stands before a store, the methods of which raise KeyError at their first call."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.calls: dict[str, int] = {}
        self.again = asyncio.Event()
        """Set when any method is called for the second time."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        async def call(*args: Any, **named: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            if self.calls[name] == 1:
                raise KeyError(name)
            self.again.set()
            return await found(*args, **named)

        return call


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has loops wait for a moment only."""
    monkeypatch.setattr(loops, "_FIRST_PAUSE", 0.01)
    for module, name in (
        ("runs.deadlines", "_LOOK"),
        ("runs.deadlines", "_SWEEP"),
        ("runs.sweeper", "_INTERVAL"),
        ("runs.gauges", "_INTERVAL"),
        ("runs.lookout", "_LOOK"),
        ("events.dispatcher", "_POLL"),
        ("crons.ticker", "_AGAIN"),
        ("state.link", "_INTERVAL"),
    ):
        monkeypatch.setattr(f"agent_runtime.{module}.{name}", 0.01)


def failures(name: str) -> float:
    """What was counted."""
    return FAILURES.labels(name)._value.get()


def _deadlines(broken: Broken) -> Callable[[], Any]:
    class Runs:
        store = broken

    return Deadlines(lambda: Runs(), Metrics())._watch  # type: ignore[arg-type, return-value] # noqa: PLW0108


def _sweep(broken: Broken) -> Callable[[], Any]:
    class Runs:
        store = broken

    return Deadlines(lambda: Runs(), Metrics())._sweep_forever  # type: ignore[arg-type, return-value] # noqa: PLW0108


def _link(broken: Broken) -> Callable[[], Any]:
    link = StateLink(broken, broken.prepare, Metrics())  # type: ignore[arg-type]
    link._prepared = True
    return link.watch


def _lookout(broken: Broken) -> Callable[[], Any]:
    return Lookout(broken, lambda: ["r"], lambda *_: None).look_forever  # type: ignore[arg-type]


def _dispatcher(broken: Broken) -> Callable[[], Any]:
    metrics = EventMetrics(Metrics().registry)
    return Dispatcher(broken, (), metrics, attempts=1, lease_timeout=1)._look_forever  # type: ignore[arg-type]


def _crons(broken: Broken) -> Callable[[], Any]:
    metrics, spec = CronMetrics(Metrics().registry), config({"graph": "fakes.steps:graph"})
    return Ticker(broken, spec, metrics, lambda: None)._work  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("name", "store", "loop"),
    [
        ("deadlines", MemoryStore, _deadlines),
        ("unnoted questions", MemoryStore, _sweep),
        ("state link", MemoryStore, _link),
        ("lookout", MemoryStore, _lookout),
        ("gauges", MemoryStore, lambda broken: Gauges(broken, None, None, Metrics())._go),
        ("old threads", MemoryStore, lambda broken: Sweeper(broken, None, None)._go),  # type: ignore[arg-type]
        ("events", lambda: MemoryStorage(1.0), _dispatcher),
        ("crons", MemoryCrons, _crons),
    ],
)
async def test_a_loop_outlives_a_store_that_fails_once(name, store, loop):
    broken, before = Broken(store()), failures(name)
    with capture_logs() as logs:
        task = asyncio.create_task(loop(broken)())
        async with asyncio.timeout(5):
            await broken.again.wait()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    told = [line for line in logs if line["event"] == "a loop failed, and goes on"]
    assert {(line["loop"], type(line["exc_info"])) for line in told} == {(name, KeyError)}
    assert failures(name) - before == len(told)


async def test_a_pod_whose_queue_failed_takes_runs(monkeypatch):
    async with running({"graph": "fakes.steps:graph"}) as it:
        store, failed = it.agent.store, asyncio.Event()

        async def leases() -> list[Lease]:
            monkeypatch.undo()
            failed.set()
            raise KeyError("leases")

        monkeypatch.setattr(store, "leases", leases)
        async with asyncio.timeout(10):
            await failed.wait()
            await it.client.runs.wait(None, "agent", input={})
        assert it.agent.live


def test_the_thread_that_renews_leases_goes_on():
    class Renewer:
        def __init__(self) -> None:
            self.calls = 0
            self.again = threading.Event()

        def renew(self, held: list[Lease]) -> list[Lease]:
            self.calls += 1
            if self.calls == 1:
                raise KeyError("heads")
            self.again.set()
            return held

        def wake(self) -> None:
            pass

        def rest(self) -> None:
            pass

    renewer = Renewer()
    heartbeat = Heartbeat(renewer, 0.01, lambda _: None)  # type: ignore[arg-type]
    heartbeat.add(Lease("t", "token"))
    heartbeat.start()
    assert renewer.again.wait(5)
    assert heartbeat.healthy
    heartbeat.stop()


async def test_pauses_grow_to_the_longest_and_begin_anew(monkeypatch):
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(loops, "_FIRST_PAUSE", 1.0)
    monkeypatch.setattr(loops.asyncio, "sleep", sleep)
    loop = Loop("tested", 5.0)
    for fails in (True, True, True, True, False, True):
        async with loop.turn():
            if fails:
                raise ValueError
    async with loop.turn():
        raise UnavailableError("the state is away")
    assert slept == [1.0, 2.0, 4.0, 5.0, 1.0]


async def test_who_cancels_a_loop_ends_it():
    loop = Loop("tested")
    with pytest.raises(asyncio.CancelledError):
        async with loop.turn():
            raise asyncio.CancelledError
