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
