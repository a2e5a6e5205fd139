from __future__ import annotations

import asyncio

from agent_runtime.runs.events import EventLog


async def _read(log: EventLog, after: int = 0) -> list[tuple[int, str]]:
    return [(event.number, event.name) async for event in log.read(after)]


async def test_readers_get_all_events_whenever_they_come():
    log = EventLog()
    log.append("a", b"1")
    early = asyncio.create_task(_read(log))
    await asyncio.sleep(0)
    log.append("b", b"2")
    log.close()
    assert await early == [(1, "a"), (2, "b")]
    assert await _read(log) == [(1, "a"), (2, "b")]
    assert await _read(log, after=1) == [(2, "b")]
    assert await _read(log, after=9) == []


async def test_a_closed_log_without_events_ends():
    log = EventLog()
    log.close()
    async with asyncio.timeout(1):
        assert await _read(log) == []


async def test_numbers_grow_over_attempts():
    first, second = EventLog(1), EventLog(2)
    for log in (first, second):
        log.append("a", b"1")
        log.close()
    [(last, _)] = await _read(first)
    assert [name for _, name in await _read(second, after=last)] == ["a"]


async def test_who_saw_an_earlier_attempt_waits_for_the_next():
    log = EventLog(2)
    reading = asyncio.create_task(_read(log, after=4))
    await asyncio.sleep(0)
    log.append("a", b"1")
    log.close()
    assert await reading == [(1_000_000_001, "a")]
