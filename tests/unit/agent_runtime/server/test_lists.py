"""Long lists, and many of them, leave a pod its memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from agent_runtime.errors import TooManyRequestsError
from agent_runtime.server import lists
from agent_runtime.server.lists import Lists, paged
from fakes.agents import CHAT, ECHO, person, running

MIB = 1 << 20
SPEC = {"models": [ECHO], "workflow": CHAT}


async def _items(count: int, size: int = MIB) -> AsyncIterator[str]:
    for _ in range(count):
        yield "x" * size


async def test_a_caller_is_sent_so_much_at_a_time_and_all_together_are():
    made = Lists()
    first = await made.answer(_items(20), "alice")
    with pytest.raises(TooManyRequestsError, match="read it first"):
        await made.answer(_items(20), "alice")
    assert (await made.answer(_items(3, 10), "alice")).body == b'["xxxxxxxxxx","xxxxxxxxxx","xxxxxxxxxx"]'
    second = await made.answer(_items(31), "bob")
    with pytest.raises(HTTPException) as refused:
        await made.answer(_items(20), "carol")
    assert (refused.value.status_code, refused.value.headers) == (503, {"retry-after": "1"})
    for answer, size in ((first, 20), (second, 31)):
        assert len(await _sent(answer)) == size * (MIB + 3) + 1
    assert len(await _sent(await made.answer(_items(31), "alice"))) > 31 * MIB


async def test_what_a_client_does_not_read_is_held_for_a_while_only(monkeypatch):
    monkeypatch.setattr(lists, "_SECONDS", 0.05)
    made = Lists()
    assert await _sent(await made.answer(_items(31), "alice"), reads=False) == b""
    assert await made.answer(_items(31), "alice")


async def test_few_lists_are_made_at_a_time():
    making = most = 0
    made = Lists()

    async def slow() -> AsyncIterator[int]:
        nonlocal making, most
        making += 1
        most = max(most, making)
        for number in range(3):
            await asyncio.sleep(0)
            yield number
        making -= 1

    answers = await asyncio.gather(*(made.answer(slow(), "alice", "found") for _ in range(20)))
    assert {answer.body for answer in answers} == {b'{"found":[0,1,2]}'}
    assert most == 4


async def test_pages_are_of_the_size_that_is_wanted_and_no_more_is_read():
    asked = []

    async def read(limit: int, offset: int) -> list[int]:
        asked.append((limit, offset))
        return list(range(50))[offset : offset + limit]

    assert [one async for one in paged(read, 25, 10, 20)] == list(range(10, 35))
    assert asked == [(20, 10), (5, 30)]
    assert [one async for one in paged(read, 1000, 40, 20)] == list(range(40, 50))
    assert [one async for one in paged(read, 0, 0, 20)] == []


async def test_threads_and_runs_are_read_some_at_a_time(monkeypatch):
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        store, largest = it.agent.store, 0
        threads, runs = store.threads, store.runs

        async def read_threads(query: Any) -> Any:
            nonlocal largest
            largest = max(largest, query.limit)
            return await threads(query)

        async def read_runs(thread: str, status: Any, limit: int, offset: int) -> Any:
            nonlocal largest
            largest = max(largest, limit)
            return await runs(thread, status, limit, offset)

        monkeypatch.setattr(store, "threads", read_threads)
        monkeypatch.setattr(store, "runs", read_runs)
        for number in range(45):
            await it.client.threads.create(thread_id=f"t{number:02}")
            await it.client.runs.create("t00", "agent", input=person("hi"), after_seconds=60)
        found = await it.client.threads.search(limit=1000, sort_by="thread_id", sort_order="asc")
        assert [one["thread_id"] for one in found] == [f"t{number:02}" for number in range(45)]
        assert len({run["run_id"] for run in await it.client.runs.list("t00", limit=1000)}) == 45
        assert len(await it.client.runs.list("t00", limit=3, offset=44)) == 1
        assert (await http.get("/threads/t00/runs?limit=0")).json() == []
        assert largest == 20


async def _sent(answer: Any, *, reads: bool = True) -> bytes:
    """What a client gets that reads all, or nothing."""
    assert isinstance(answer, StreamingResponse)
    got = bytearray()

    async def send(message: Any) -> None:
        if not reads:
            await asyncio.Event().wait()
        got.extend(message.get("body", b""))

    async def receive() -> Any:
        return await asyncio.Event().wait()

    await answer({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
    return bytes(got)
