from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from agent_runtime.errors import InputError, NotFoundError, TooManyRequestsError, UnavailableError
from agent_runtime.events import dispatcher
from agent_runtime.events.errors import HopsError, RefusedError
from agent_runtime.events.records import Entry
from unit.agent_runtime.events.delivering import Recorder, event, post, until


async def test_each_consumer_gets_an_event_once() -> None:
    one, two = Recorder("subscribe/one"), Recorder("sink/two")
    async with post(one, two) as given:
        assert await given.log.append(event(1))
        assert not await given.log.append(event(1))
        await until(lambda: one.got == ["1"] and two.got == ["1"])
        assert not await given.log.append(event(1)), "also when all have got it"
        assert given.count("apm_agent_events_duplicates_total") == 2
        assert await given.storage.backlog() == 0
        assert await given.storage.lanes() == []


async def test_the_same_id_of_another_owner_is_another_event() -> None:
    one = Recorder()
    async with post(one) as given:
        assert await given.log.append(event(1), "apiKey|a")
        assert await given.log.append(event(1), "apiKey|b")
        await until(lambda: one.got == ["1", "1"])


async def test_what_nobody_wants_is_not_kept() -> None:
    async with post(Recorder()) as given:
        assert await given.log.append(event(1, kind="unwanted"))
        assert await given.storage.backlog() == 0


async def test_a_subject_waits_for_its_event_while_others_go_on() -> None:
    broken = True
    one = Recorder(trouble=lambda entry: OSError("no") if broken and entry.event.id == "1" else None)
    async with post(one, attempts=100) as given:
        for number, subject in enumerate(("a", "a", "b", "b"), start=1):
            await given.log.append(event(number, subject))
        await until(lambda: one.got == ["3", "4"] and one.tried.count("1") > 2)
        broken = False
        await until(lambda: one.got == ["3", "4", "1", "2"])
        assert given.count("apm_agent_events_delivered_total", consumer="subscribe/one", outcome="failed") >= 2


async def test_a_dead_letter_lets_the_next_by_and_can_be_replayed() -> None:
    broken = True
    one = Recorder(trouble=lambda entry: OSError("no such luck") if broken and entry.event.id == "1" else None)
    async with post(one, attempts=3) as given:
        await given.log.append(event(1, "a"))
        await given.log.append(event(2, "a"))
        await until(lambda: one.got == ["2"])
        assert one.tried.count("1") == 3
        (letter,) = await given.log.dead_letters()
        assert (letter.consumer, letter.attempts, letter.entry.event.id) == ("subscribe/one", 3, "1")
        assert "no such luck" in letter.error
        assert await given.log.dead_letters("sink/other") == []
        assert await given.log.dead_letters(after=letter.id) == []
        broken = False
        await given.log.replay(letter.id)
        await until(lambda: one.got == ["2", "1"])
        assert await given.log.dead_letters() == []
        with pytest.raises(NotFoundError):
            await given.log.replay(letter.id)


@pytest.mark.parametrize("error", [InputError("unfit"), RefusedError("never")])
async def test_what_can_never_be_taken_is_tried_once(error: Exception) -> None:
    one = Recorder(trouble=lambda _: error)
    async with post(one) as given:
        await given.log.append(event(1))
        await until(lambda: given.count("apm_agent_events_delivered_total", consumer=one.name, outcome="dead") == 1)
        assert one.tried == ["1"]
        (letter,) = await given.log.dead_letters()
        await given.log.discard(letter.id)
        assert await given.log.dead_letters() == []
        with pytest.raises(NotFoundError):
            await given.log.discard(letter.id)


@pytest.mark.parametrize(
    "error", [UnavailableError("away", retry_after=0), TooManyRequestsError("full", retry_after=0)]
)
async def test_a_consumer_that_has_no_room_now_uses_up_no_attempts(error: Exception) -> None:
    one = Recorder(trouble=lambda _: error if len(one.tried) < 6 else None)
    async with post(one, attempts=2) as given:
        await given.log.append(event(1))
        await until(lambda: one.got == ["1"])


async def test_a_full_log_refuses_those_from_outside_first() -> None:
    gate = asyncio.Event()
    one = Recorder(gate=gate)
    async with post(one, most=10) as given:
        for number in range(9):
            await given.log.append(event(number), f"apiKey|{number % 3}")
        with pytest.raises(TooManyRequestsError, match="maxPending"):
            await given.log.append(event(9))
        assert await given.log.append(event(9), emitted=True)
        with pytest.raises(TooManyRequestsError):
            await given.log.append(event(10), emitted=True)
        gate.set()
        await until(lambda: len(one.got) == 10)
        assert await given.log.append(event(10))


async def test_one_sender_leaves_room_in_the_log_for_others() -> None:
    async with post(Recorder(gate=asyncio.Event()), most=100) as given:
        for number in range(81):
            await given.log.append(event(number), "apiKey|a")
        with pytest.raises(TooManyRequestsError, match=r"81 of your events .*maxPending"):
            await given.log.append(event(81), "apiKey|a")
        assert await given.log.append(event(81), "apiKey|a", emitted=True)
        for number in range(8):
            assert await given.log.append(event(number), "apiKey|b")
        with pytest.raises(TooManyRequestsError):
            await given.log.append(event(9), "apiKey|b")


async def test_among_others_a_sender_may_fill_half() -> None:
    async with post(Recorder(gate=asyncio.Event()), most=100) as given:
        await given.log.append(event(1), "apiKey|b")
        for number in range(45):
            await given.log.append(event(number), "apiKey|a")
        with pytest.raises(TooManyRequestsError, match="45 is the most for one now"):
            await given.log.append(event(45), "apiKey|a")
        assert await given.log.append(event(2), "apiKey|b")


async def test_what_fails_for_one_sender_holds_up_no_other_one_of_the_same_subject() -> None:
    one = Recorder(trouble=lambda entry: OSError("no") if entry.owner == "apiKey|a" else None)
    async with post(one, attempts=100, pause=5.0) as given:
        await given.log.append(event(1, "order"), "apiKey|a")
        await until(lambda: one.tried == ["1"])
        await given.log.append(event(2, "order"), "apiKey|b")
        await until(lambda: one.got == ["2"])


async def test_a_sender_for_whom_there_is_no_room_keeps_no_other_one_waiting(monkeypatch) -> None:
    monkeypatch.setattr(dispatcher, "_PUT_OFF_OF_ONE", 5)
    monkeypatch.setattr(dispatcher, "_PUT_OFF", 12)
    monkeypatch.setattr(dispatcher, "_AT_ONCE", 4)
    monkeypatch.setattr(dispatcher, "_POLL", 0.02)
    full = TooManyRequestsError("you have too many runs", retry_after=30)
    one = Recorder(trouble=lambda entry: full if entry.owner == "apiKey|a" else None)
    async with post(one) as given:
        for number in range(40):
            await given.storage.add(Entry(event(number), "apiKey|a"), [one.name])
        await until(lambda: len(one.tried) >= 5)
        for number in range(40, 46):
            await given.storage.add(Entry(event(number), "apiKey|b"), [one.name])
        await until(lambda: len(one.got) == 6)
        assert len(one.tried) <= 5 + 4 + 6


async def test_loops_of_events_end() -> None:
    async with post(Recorder()) as given:
        assert await given.log.append(event(1, apmhops=8))
        with pytest.raises(HopsError, match="loop"):
            await given.log.append(event(2, apmhops=9))


async def test_events_for_consumers_that_are_gone_can_be_forgotten() -> None:
    one, gone = Recorder("subscribe/one"), Recorder("subscribe/gone", gate=asyncio.Event())
    async with post(one, gone) as given:
        await given.log.append(event(1))
        await until(lambda: one.got == ["1"])
        (entry,) = await given.storage.pending(gone.name, (await given.storage.waiting(gone.name, (), 1))[0], 5)
        assert await given.storage.forget(["subscribe/one"], entry.accepted_at) == 0
        assert await given.storage.forget(["subscribe/one"], entry.accepted_at + timedelta(seconds=1)) == 1
        assert await given.storage.backlog() == 0
