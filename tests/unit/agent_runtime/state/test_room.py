"""Whose conversations make room for others where the pod's memory is full."""

from __future__ import annotations

import pytest

from agent_runtime.errors import UnavailableError
from agent_runtime.state.memory import MemoryStore
from agent_runtime.state.records import Run, Thread, ThreadQuery
from agent_runtime.state.room import Room


async def _names(store: MemoryStore) -> set[str]:
    return {thread.thread_id for thread in await store.threads(ThreadQuery(limit=1000))}


async def _add(store: MemoryStore, owner: str, *numbers: int, size: int = 0) -> None:
    for number in numbers:
        assert await store.add_thread(Thread(f"{owner}-{number}", owner=owner, metadata={"about": "x" * size}))


async def test_a_flood_of_one_callers_threads_takes_none_of_another():
    store = MemoryStore(Room(threads=10))
    await _add(store, "quiet", 1, 2, 3)
    await _add(store, "loud", *range(50))
    assert await _names(store) == {"quiet-1", "quiet-2", "quiet-3", *(f"loud-{number}" for number in range(43, 50))}


async def test_a_flood_of_large_threads_takes_none_of_another():
    store = MemoryStore(Room(size=100_000))
    await _add(store, "quiet", 1, 2, size=10_000)
    await _add(store, "loud", *range(20), size=20_000)
    kept = await _names(store)
    assert {"quiet-1", "quiet-2", "loud-19"} <= kept
    assert len(kept) < 8


async def test_who_comes_later_gets_a_share():
    store = MemoryStore(Room(threads=10))
    await _add(store, "first", *range(10))
    await _add(store, "second", *range(20))
    kept = await _names(store)
    assert kept == {*(f"first-{number}" for number in range(5, 10)), *(f"second-{number}" for number in range(15, 20))}


async def test_threads_in_use_of_one_caller_do_not_push_out_another():
    store = MemoryStore(Room(threads=4))
    await _add(store, "quiet", 1)
    for number in range(3):
        await _add(store, "loud", number)
        assert await store.add_run(Run(f"r-{number}", f"loud-{number}", {}, owner="loud"))
    with pytest.raises(UnavailableError, match="no room for more conversations"):
        await _add(store, "loud", 3)
    assert "quiet-1" in await _names(store)
    await _add(store, "quiet", 2)
    assert await _names(store) == {"quiet-2", "loud-0", "loud-1", "loud-2"}
