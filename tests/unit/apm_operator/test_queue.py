import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from apm_operator.queue import Key, WorkQueue

ONE, TWO = Key("ns", "one"), Key("ns", "two")


@dataclass
class FakeTimer:
    due: float
    call: Callable[[], object]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True

    def when(self) -> float:
        return self.due


@dataclass
class FakeClock:
    now: float = 100.0
    timers: list[FakeTimer] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: object) -> FakeTimer:
        timer = FakeTimer(self.now + delay, lambda: callback(*args))
        self.timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [timer for timer in self.timers if timer.due <= self.now and not timer.cancelled]
        self.timers = [timer for timer in self.timers if timer not in due]
        for timer in due:
            timer.call()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> WorkQueue:
    return WorkQueue(clock, jitter=lambda: 0.5)


async def test_a_key_waits_once_however_often_it_is_added(queue: WorkQueue):
    queue.add(ONE)
    queue.add(TWO)
    queue.add(ONE)
    assert [await queue.get(), await queue.get()] == [ONE, TWO]
    assert len(queue) == 0


async def test_a_key_is_never_worked_on_twice_at_the_same_time(queue: WorkQueue):
    queue.add(ONE)
    assert await queue.get() == ONE
    queue.add(ONE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.01)
    queue.done(ONE)
    assert await asyncio.wait_for(queue.get(), 1) == ONE


async def test_a_key_that_was_not_added_meanwhile_does_not_come_back(queue: WorkQueue):
    queue.add(ONE)
    queue.done(await queue.get())
    assert len(queue) == 0


def test_the_earliest_of_several_delays_counts(queue: WorkQueue, clock: FakeClock):
    queue.add_after(ONE, 10)
    queue.add_after(ONE, 5)
    queue.add_after(ONE, 20)
    clock.advance(4.9)
    assert len(queue) == 0
    clock.advance(0.2)
    assert len(queue) == 1
    clock.advance(30)
    assert len(queue) == 1


def test_adding_now_replaces_a_delay(queue: WorkQueue, clock: FakeClock):
    queue.add_after(ONE, 10)
    queue.add(ONE)
    assert len(queue) == 1
    assert all(timer.cancelled for timer in clock.timers)


def test_the_delay_of_a_failing_key_doubles_up_to_five_minutes(queue: WorkQueue, clock: FakeClock):
    delays = []
    for _ in range(11):
        delays.append(queue.retry(ONE))
        clock.advance(300)
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_a_success_starts_the_delays_anew(queue: WorkQueue):
    queue.retry(ONE)
    queue.retry(ONE)
    queue.succeeded(ONE)
    assert queue.failures(ONE) == 0
    assert queue.retry(ONE) == 1


def test_delays_of_one_key_do_not_touch_another(queue: WorkQueue):
    queue.retry(ONE)
    queue.retry(ONE)
    assert queue.retry(TWO) == 1


def test_what_the_server_asks_for_is_the_least(queue: WorkQueue):
    assert queue.retry(ONE, at_least=7) == 7


@pytest.mark.parametrize(("jitter", "expected"), [(0.0, 0.8), (1.0, 1.2)])
def test_jitter_is_a_fifth(clock: FakeClock, jitter: float, expected: float):
    assert WorkQueue(clock, jitter=lambda: jitter).retry(ONE) == pytest.approx(expected)


async def test_ages_tell_how_long_a_key_waits_and_is_worked_on(queue: WorkQueue, clock: FakeClock):
    queue.add(ONE)
    clock.advance(3)
    assert queue.oldest() == 3
    await queue.get()
    clock.advance(2)
    assert (queue.oldest(), queue.longest_pass(), queue.active()) == (0, 2, 1)


async def test_a_queue_that_moves_is_not_stalled_however_long_it_is(queue: WorkQueue, clock: FakeClock):
    """Liveness looks at this: twenty thousand agents to change take longer than it has patience."""
    queue.add(ONE)
    queue.add(TWO)
    clock.advance(400)
    assert queue.stalled() == 400
    queue.done(await queue.get())
    assert (queue.oldest(), queue.stalled()) == (400, 0)
    clock.advance(400)
    assert queue.stalled() == 400
    await queue.get()
    clock.advance(400)
    assert queue.stalled() == 0


def test_a_forgotten_key_does_not_come_back(queue: WorkQueue, clock: FakeClock):
    queue.retry(ONE)
    queue.forget(ONE)
    clock.advance(1000)
    assert len(queue) == 0
    assert queue.failures(ONE) == 0


async def test_what_can_wait_comes_when_no_other_key_waits(queue: WorkQueue, clock: FakeClock):
    queue.add(ONE)
    queue.add(TWO)
    queue.done(await queue.get(), later=True)
    assert queue.pressed()
    clock.advance(29)
    assert await queue.get() == TWO
    assert not queue.pressed()
    assert len(queue) == 1
    assert queue.oldest() == 29
    assert await queue.get() == ONE


async def test_what_can_wait_does_not_wait_for_ever(queue: WorkQueue, clock: FakeClock):
    queue.add(ONE)
    queue.done(await queue.get(), later=True)
    clock.advance(31)
    queue.add(TWO)
    assert await queue.get() == ONE


async def test_a_key_that_can_wait_is_added_once_and_can_wait_no_more(queue: WorkQueue):
    queue.add(ONE)
    queue.done(await queue.get(), later=True)
    queue.add(TWO)
    queue.add(ONE)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == [TWO, ONE]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.01)


async def test_a_key_that_was_added_meanwhile_does_not_wait(queue: WorkQueue):
    queue.add(ONE)
    await queue.get()
    queue.add(ONE)
    queue.done(ONE, later=True)
    assert queue.pressed()
    assert len(queue) == 1
