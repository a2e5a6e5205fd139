"""What every store of threads and runs has to do with runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from agent_runtime.errors import ConflictError
from agent_runtime.state.records import TASK, Backlog, Event, Glimpse, Run, RunQuery, Thread, now

if TYPE_CHECKING:
    from agent_runtime.state.store import Store

REQUEST: dict[str, Any] = {"body": {"input": {"$set": 1, "a.b": 2**70}}}


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
    started = await store.start_run(run, 1)
    assert started is not None
    assert (started.status, started.attempt, started.epoch) == ("running", 1, 1)
    assert await store.run("t1", "r1") == started
    assert await store.end_run(started, "error", {"error": "E", "message": "m"})
    ended = await store.run("t1", "r1")
    assert ended is not None
    assert (ended.status, ended.error) == ("error", {"error": "E", "message": "m"})
    assert await store.start_run(ended, 2) is None
    assert not await store.end_run(started, "success", None)
    thread = await store.thread("t1")
    assert thread is not None
    assert thread.status == "error"


async def only_the_newest_holder_ends_a_run(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    await store.add_run(run := Run("r1", "t1", REQUEST))
    first = await store.start_run(run, 4)
    second = await store.start_run(first or run, 7)
    assert await store.start_run(run, 5) is None
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
    started = await store.start_run(first, 1)
    await store.end_run(started or first, "success", None)
    thread = await store.thread("t1")
    assert thread is not None
    assert thread.status == "busy"
    assert await store.first_active("t1") == second
    assert [run.run_id for run in await store.runs("t1", None, 10, 0)] == ["r2", "r1"]
    assert [run.run_id for run in await store.runs("t1", "success", 10, 0)] == ["r1"]


async def runs_that_have_not_ended_are_counted_by_owner(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    assert await store.queued() == {}
    for number, owner in enumerate(["a", "a", "b", "anonymous"]):
        await store.add_run(Run(f"r{number}", "t1", REQUEST, owner=owner))
    started = await store.start_run(Run("r0", "t1", REQUEST), 1)
    assert await store.queued() == {"a": 2, "b": 1, "anonymous": 1}
    assert started is not None
    await store.end_run(started, "success", None)
    assert await store.queued() == {"a": 1, "b": 1, "anonymous": 1}


async def the_backlog_tells_of_runs_that_may_begin(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    assert await store.backlog() == Backlog(0, 0, None)
    begin = now()
    for number, due in enumerate((None, None, begin - timedelta(seconds=5), begin + timedelta(hours=1))):
        added = begin - timedelta(minutes=number)
        await store.add_run(Run(f"r{number}", "t1", REQUEST, created_at=added, due=due))
    assert await store.backlog() == Backlog(4, 3, begin - timedelta(minutes=1)), "due a little ago, not since added"
    await store.start_run(Run("r1", "t1", REQUEST), 1)
    assert await store.backlog() == Backlog(4, 2, begin - timedelta(seconds=5))


async def what_is_handed_back_is_counted(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    await store.add_run(run := Run("r1", "t1", REQUEST))
    for number in (1, 2):
        started = await store.start_run(run, number)
        assert started is not None
        assert await store.end_run(started, "pending", None)
        kept = await store.run("t1", "r1")
        assert kept is not None
        assert (kept.status, kept.attempt, kept.returned) == ("pending", number, number)
        run = kept


async def a_run_that_is_to_be_cancelled_is_seen(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    await store.add_run(run := Run("r1", "t1", REQUEST))
    asked = await store.request_cancel(run, "rollback")
    assert asked == replace(run, cancel="rollback")
    started = await store.start_run(run, 1)
    assert started is not None
    assert started.cancel == "rollback"
    assert await store.look(["r1", "r2"]) == [Glimpse("r1", "running", "rollback")]
    await store.end_run(started, "interrupted", None)
    assert await store.request_cancel(run, "interrupt") is None
    assert await store.request_cancel(Run("r2", "t1", REQUEST), "interrupt") is None


async def a_run_is_removed_as_it_was_seen(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    await store.add_run(run := Run("r1", "t1", REQUEST))
    started = await store.start_run(run, 1)
    assert started is not None
    assert not await store.delete_run(run)
    assert await store.delete_run(started)
    assert await store.run("t1", "r1") is None
    thread = await store.thread("t1")
    assert thread is not None
    assert thread.status == "idle"


async def runs_that_have_not_ended_are_listed(store: Store) -> None:
    begin = now()
    for number, owner in enumerate("aab"):
        await store.add_thread(Thread(f"t{number}", owner=owner))
        made = begin + timedelta(seconds=number)
        await store.add_run(Run(f"r{number}", f"t{number}", REQUEST, owner=owner, created_at=made))
    await store.start_run(Run("r0", "t0", REQUEST), 1)
    assert [run.run_id for run in await store.active_runs_of("a", ["pending", "running"], 10)] == ["r0", "r1"]
    assert [run.run_id for run in await store.active_runs_of("a", ["pending"], 10)] == ["r1"]
    assert [run.run_id for run in await store.active_runs_of("a", ["pending", "running"], 1)] == ["r0"]
    assert [run.run_id for run in await store.active_runs("t2")] == ["r2"]


async def a_run_that_is_not_due_waits(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    later = Run("r1", "t1", REQUEST, due=now() + timedelta(hours=1))
    await store.add_run(later)
    assert await store.first_active("t1") is None
    assert await store.waiting_threads(10, []) == []
    assert await store.active_runs("t1") == [later]
    await store.add_run(due := Run("r2", "t1", REQUEST, due=now() - timedelta(seconds=1)))
    assert await store.first_active("t1") == due
    assert await store.waiting_threads(10, []) == ["t1"]


async def events_are_kept_for_other_pods(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    await store.add_run(run := Run("r1", "t1", REQUEST))
    await store.follow(run)
    if not store.durable:
        return
    assert await store.look(["r1"]) == [Glimpse("r1", "pending", followed=True)]
    events = [Event(number, "values", b"{}") for number in (1, 2, 3, 1_000_000_001)]
    await store.add_events(run, events[:2])
    await store.add_events(run, events[2:3])
    await store.add_events(run, events[3:])
    assert await store.events_after(run, 0) == events
    assert await store.events_after(run, 1) == events[1:]
    assert await store.events_after(run, 1_000_000_001) == []
    assert await store.events_after(Run("r2", "t1", REQUEST), 0) == []
    await store.delete_thread("t1")
    assert await store.events_after(run, 0) == []


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
        started = await store.start_run(run, number + 1)
        assert not await store.add_run(run)
        await store.end_run(started or run, "success", None)
    assert await store.add_run(Run("r9", "t1", REQUEST), alone=True)


async def a_run_keeps_the_checkpoint_it_ended_with(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    await store.add_run(run := Run("r1", "t1", REQUEST))
    started = await store.start_run(run, 1)
    await store.end_run(started or run, "success", None, "checkpoint")
    ended = await store.run("t1", "r1")
    assert ended is not None
    assert ended.checkpoint == "checkpoint"


async def runs_are_found_over_threads_by_owner_and_metadata(store: Store) -> None:
    begin = now()
    for number in range(3):
        thread = f"t{number}"
        await store.add_thread(Thread(thread, owner="apiKey|alice"))
        changed = begin + timedelta(seconds=number)
        await store.add_run(Run(f"r{number}", thread, REQUEST, {TASK: ""}, "apiKey|alice", updated_at=changed))
    await store.add_run(Run("r3", "t0", REQUEST, {TASK: "r0"}, "apiKey|alice"))
    await store.add_run(Run("r4", "t1", REQUEST, {}, "apiKey|alice"))
    alice = RunQuery("apiKey|alice", {TASK: ""})
    assert [run.run_id for run in await store.find_runs(alice)] == ["r2", "r1", "r0"]
    assert [run.run_id for run in await store.find_runs(replace(alice, limit=1, offset=1))] == ["r1"]
    assert await store.count_runs(replace(alice, limit=1, offset=1)) == 3
    assert [run.run_id for run in await store.find_runs(replace(alice, thread_id="t1"))] == ["r1"]
    assert [run.run_id for run in await store.find_runs(RunQuery("apiKey|alice", {TASK: "r0"}))] == ["r3"]
    assert [run.run_id for run in await store.find_runs(RunQuery("apiKey|alice", run_id="r4"))] == ["r4"]
    assert await store.find_runs(RunQuery("apiKey|bob", run_id="r4")) == []
    assert await store.find_runs(RunQuery("apiKey|alice", {TASK: {"$ne": 1}})) == []


async def metadata_of_a_run_is_merged(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    await store.add_run(run := Run("r1", "t1", REQUEST, {"a": 1, "b": 1}))
    changed = await store.update_run(run, {"b": 2, "c": 3})
    assert changed is not None
    assert changed.metadata == {"a": 1, "b": 2, "c": 3}
    assert await store.run("t1", "r1") == changed
    assert await store.update_run(replace(run, run_id="r2"), {"b": 2}) is None
    changed = await store.update_run(run, {"b": None, "a": 5})
    assert changed is not None
    assert changed.metadata == {"a": 5, "c": 3}


CASES = [
    a_run_is_added_once_and_makes_its_thread_busy,
    a_run_goes_its_way,
    only_the_newest_holder_ends_a_run,
    a_thread_stays_busy_while_runs_wait,
    runs_that_have_not_ended_are_counted_by_owner,
    the_backlog_tells_of_runs_that_may_begin,
    what_is_handed_back_is_counted,
    a_run_that_is_to_be_cancelled_is_seen,
    a_run_is_removed_as_it_was_seen,
    runs_that_have_not_ended_are_listed,
    a_run_that_is_not_due_waits,
    events_are_kept_for_other_pods,
    of_runs_that_want_to_be_alone_one_is_added,
    a_run_keeps_the_checkpoint_it_ended_with,
    runs_are_found_over_threads_by_owner_and_metadata,
    metadata_of_a_run_is_merged,
]
