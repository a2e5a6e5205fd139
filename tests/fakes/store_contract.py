"""What every store of threads and runs has to do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agent_runtime.errors import ConflictError
from agent_runtime.state.records import Lease, Run, Thread, ThreadQuery, now

if TYPE_CHECKING:
    from agent_runtime.state.store import Store

REQUEST: dict[str, Any] = {"body": {"input": {"$set": 1, "a.b": 2**70}}}


async def a_thread_is_added_once(store: Store) -> None:
    thread = Thread("t1", {"customer": "c1"})
    assert await store.add_thread(thread)
    assert not await store.add_thread(replace(thread, metadata={}))
    assert await store.thread("t1") == thread
    assert await store.thread("t2") is None


async def threads_are_found_and_sorted(store: Store) -> None:
    begin = now()
    for number in range(4):
        made = begin + timedelta(seconds=number)
        await store.add_thread(Thread(f"t{number}", {"even": number % 2 == 0, "at": {"$gt": ""}}, created_at=made))
    assert [t.thread_id for t in await store.threads(ThreadQuery())] == ["t3", "t2", "t1", "t0"]
    assert [t.thread_id for t in await store.threads(ThreadQuery({"even": True}))] == ["t2", "t0"]
    assert [t.thread_id for t in await store.threads(ThreadQuery(limit=2, offset=1, descending=False))] == ["t1", "t2"]
    assert [t.thread_id for t in await store.threads(ThreadQuery(ids=("t1", "t9")))] == ["t1"]
    assert await store.threads(ThreadQuery({"even": {"$ne": 1}})) == []
    assert await store.threads(ThreadQuery(status="busy")) == []


async def threads_are_found_by_owner(store: Store) -> None:
    await store.add_thread(Thread("t1", owner="apiKey|alice"))
    await store.add_thread(Thread("t2"))
    for owner, expected in {"apiKey|alice": ["t1"], "anonymous": ["t2"], "apiKey|bob": []}.items():
        assert [t.thread_id for t in await store.threads(ThreadQuery(owner=owner))] == expected
    assert len(await store.threads(ThreadQuery())) == 2
    stored = await store.thread("t1")
    assert stored is not None
    assert stored.owner == "apiKey|alice"


async def metadata_is_merged(store: Store) -> None:
    await store.add_thread(Thread("t1", {"a": 1, "b": 1}))
    changed = await store.update_thread("t1", {"b": 2, "c": 3})
    assert changed is not None
    assert changed.metadata == {"a": 1, "b": 2, "c": 3}
    assert await store.update_thread("t2", {"a": 1}) is None


async def a_run_is_added_once_and_makes_its_thread_busy(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    run = Run("r1", "t1", REQUEST)
    assert await store.add_run(run)
    assert not await store.add_run(run)
    assert await store.run("t1", "r1") == run
    assert await store.run("t2", "r1") is None
    thread = await store.thread("t1")
    assert thread is not None
    assert thread.status == "busy"


async def a_run_goes_its_way(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    await store.add_run(run := Run("r1", "t1", REQUEST))
    started = await store.start_run(run, "token")
    assert started is not None
    assert (started.status, started.attempt, started.lease) == ("running", 1, "token")
    assert await store.run("t1", "r1") == started
    assert await store.end_run(started, "error", {"error": "E", "message": "m"})
    ended = await store.run("t1", "r1")
    assert ended is not None
    assert (ended.status, ended.error) == ("error", {"error": "E", "message": "m"})
    assert await store.start_run(ended, "again") is None
    assert not await store.end_run(started, "success", None)
    thread = await store.thread("t1")
    assert thread is not None
    assert thread.status == "error"


async def only_the_holder_ends_a_run(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    await store.add_run(run := Run("r1", "t1", REQUEST))
    first = await store.start_run(run, "first")
    second = await store.start_run(first or run, "second")
    assert first is not None
    assert second is not None
    assert second.attempt == 2
    assert not await store.end_run(first, "error", None)
    assert await store.end_run(second, "success", None)


async def a_thread_stays_busy_while_runs_wait(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    begin = now()
    first, second = Run("r1", "t1", REQUEST), Run("r2", "t1", REQUEST, created_at=begin + timedelta(seconds=1))
    await store.add_run(first)
    await store.add_run(second)
    assert await store.first_active("t1") == first
    assert await store.waiting_threads(10, []) == ["t1"]
    started = await store.start_run(first, "token")
    await store.end_run(started or first, "success", None)
    thread = await store.thread("t1")
    assert thread is not None
    assert thread.status == "busy"
    assert await store.first_active("t1") == second
    assert [run.run_id for run in await store.runs("t1", None, 10, 0)] == ["r2", "r1"]
    assert [run.run_id for run in await store.runs("t1", "success", 10, 0)] == ["r1"]


async def of_runs_that_want_to_be_alone_one_is_added(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    runs = [Run(f"r{number}", "t1", REQUEST) for number in range(8)]
    added = await asyncio.gather(*(store.add_run(run, alone=True) for run in runs), return_exceptions=True)
    assert sorted(type(one).__name__ for one in added) == ["ConflictError"] * 7 + ["bool"]
    winner = runs[[type(one) for one in added].index(bool)]
    assert [run.run_id for run in await store.runs("t1", None, 10, 0)] == [winner.run_id]
    assert await store.add_run(Run("r8", "t1", REQUEST))
    for number, run in enumerate((winner, Run("r8", "t1", REQUEST))):
        with pytest.raises(ConflictError):
            await store.add_run(Run("r9", "t1", REQUEST), alone=True)
        started = await store.start_run(run, f"token{number}")
        assert not await store.add_run(run)
        await store.end_run(started or run, "success", None)
    assert await store.add_run(Run("r9", "t1", REQUEST), alone=True)


async def threads_that_wait_are_found_behind_those_that_are_held(store: Store) -> None:
    begin = now()
    for number in range(4):
        await store.add_thread(Thread(f"t{number}"))
        await store.add_run(Run(f"r{number}", f"t{number}", REQUEST, created_at=begin + timedelta(seconds=number)))
    assert await store.waiting_threads(2, []) == ["t0", "t1"]
    assert await store.waiting_threads(2, ["t0", "t1", "t9"]) == ["t2", "t3"]


async def a_run_keeps_the_checkpoint_it_ended_with(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    await store.add_run(run := Run("r1", "t1", REQUEST))
    started = await store.start_run(run, "token")
    await store.end_run(started or run, "success", None, "checkpoint")
    ended = await store.run("t1", "r1")
    assert ended is not None
    assert ended.checkpoint == "checkpoint"


async def a_lease_has_one_holder(store: Store) -> None:
    leases = [Lease("t1", str(number)) for number in range(8)]
    won = await asyncio.gather(*(store.claim(lease) for lease in leases))
    assert won.count(True) == 1
    mine = leases[won.index(True)]
    assert [lease.token for lease in await store.leases()] == [mine.token]
    renewed = await store.renew([mine, Lease("t2", "x")])
    assert [lease.token for lease in renewed] == [mine.token]
    assert not await store.release(Lease("t1", "other"))
    assert await store.release(renewed[0])
    assert await store.leases() == []
    assert await store.claim(Lease("t1", "next"))


async def a_deleted_thread_leaves_nothing(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    await store.add_run(run := Run("r1", "t1", REQUEST))
    await store.delete_thread("t1")
    assert await store.thread("t1") is None
    assert await store.run("t1", "r1") is None
    await store.delete_run(run)


async def idle_threads_are_found(store: Store) -> None:
    old = now() - timedelta(hours=1)
    await store.add_thread(Thread("old", updated_at=old))
    await store.add_thread(Thread("busy", status="busy", updated_at=old))
    await store.add_thread(Thread("new"))
    assert await store.idle_since(now() - timedelta(minutes=1), 10) == ["old"]


CASES = [
    a_thread_is_added_once,
    threads_are_found_and_sorted,
    threads_are_found_by_owner,
    metadata_is_merged,
    a_run_is_added_once_and_makes_its_thread_busy,
    a_run_goes_its_way,
    only_the_holder_ends_a_run,
    a_thread_stays_busy_while_runs_wait,
    of_runs_that_want_to_be_alone_one_is_added,
    threads_that_wait_are_found_behind_those_that_are_held,
    a_run_keeps_the_checkpoint_it_ended_with,
    a_lease_has_one_holder,
    a_deleted_thread_leaves_nothing,
    idle_threads_are_found,
]
