from __future__ import annotations

import asyncio
from contextlib import ExitStack

from agent_runtime.runs.lookout import Lookout
from agent_runtime.state.memory import MemoryStore
from agent_runtime.state.records import Glimpse, Run, Thread


async def test_who_waits_is_woken_by_what_other_pods_did():
    store, asked = MemoryStore(), []
    await store.add_thread(Thread("t"))
    for name in ("waited", "here", "ended"):
        await store.add_run(Run(name, "t", {}))
    lookout = Lookout(store, lambda: ["here"], lambda *told: asked.append(told))
    with ExitStack() as stack:
        waited, gone, here = (stack.enter_context(lookout.watching(name)) for name in ("waited", "gone", "here"))
        await lookout.look()
        # Else all who wait for their turn would look for themselves, each by a query of its own.
        assert not waited._changed.is_set()
        await asyncio.wait_for(gone.wait(), 1)
        await lookout.look()
        await asyncio.wait_for(gone.wait(), 1)
        assert not waited._changed.is_set()
        assert not here._changed.is_set()
        await store.start_run(Run("waited", "t", {}), 1)
        await lookout.look()
        await asyncio.wait_for(waited.wait(), 1)
    await store.request_cancel(Run("here", "t", {}), "interrupt")
    await lookout.look()
    assert asked[-1] == ("here", Glimpse("here", "pending", "interrupt"))
    assert lookout._waiting == {}


async def test_one_of_several_that_wait_may_go():
    lookout = Lookout(MemoryStore(), list, lambda *_: None)
    with lookout.watching("r") as stays:
        with lookout.watching("r"):
            pass
        lookout.notify("r")
        await asyncio.wait_for(stays.wait(), 1)


async def test_it_looks_while_there_is_something_to_look_for(monkeypatch):
    monkeypatch.setattr("agent_runtime.runs.lookout._LOOK", 0.01)
    here: list[str] = []
    lookout = Lookout(MemoryStore(), lambda: here, lambda *_: None)
    looks = 0
    look = lookout.look

    async def counted() -> None:
        nonlocal looks
        looks += 1
        await look()

    monkeypatch.setattr(lookout, "look", counted)
    task = asyncio.create_task(lookout.look_forever())
    await asyncio.sleep(0.1)
    assert looks == 0
    with lookout.watching("r") as changes:
        assert await changes.wait(5), "it is gone"
    await asyncio.sleep(0.05)
    before = looks
    await asyncio.sleep(0.1)
    assert looks == before
    here.append("r")
    lookout.begin()
    async with asyncio.timeout(5):
        while looks == before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
