"""What every store of threads and runs has to do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from agent_runtime.state.interrupts import Interrupt
from agent_runtime.state.records import Hook, Lease, Run, Thread, ThreadQuery, now
from fakes import store_contract_runs
from fakes.store_contract_runs import REQUEST

if TYPE_CHECKING:
    from agent_runtime.state.store import Store


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
    assert await store.count_threads(ThreadQuery({"even": True}, limit=1)) == 2
    assert await store.count_threads(ThreadQuery(status="busy")) == 0


async def pages_leave_out_no_thread_of_one_moment(store: Store) -> None:
    moment = now()
    names = [f"t{number:02}" for number in range(20)]
    for name in (*names[10:], *names[:10]):
        await store.add_thread(Thread(name, created_at=moment, updated_at=moment))
    for descending in (False, True):
        query = ThreadQuery(limit=7, sort_by="updated_at", descending=descending)
        pages = [await store.threads(replace(query, offset=offset)) for offset in (0, 7, 14)]
        found = [thread.thread_id for page in pages for thread in page]
        assert found == sorted(names, reverse=descending)


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


async def a_webhook_is_taken_by_one(store: Store) -> None:
    begin = now()
    hook = Hook("r1:1", "r1", "t1", 1, "http://hooks.test/", {"values": {"$a.b": 2**63}}, begin)
    await store.add_hook(hook)
    await store.add_hook(replace(hook, url="http://other.test/"))
    await store.add_hook(replace(hook, hook_id="r2:1", due=begin + timedelta(hours=1)))
    assert await store.due_hooks(begin, 10) == [hook]
    until = begin + timedelta(minutes=1)
    taken = await asyncio.gather(*(store.take_hook(hook, until) for _ in range(4)))
    assert [one for one in taken if one] == [replace(hook, due=until, attempt=1)]
    assert await store.due_hooks(begin, 10) == []
    assert [one.attempt for one in await store.due_hooks(until, 10)] == [1]
    await store.remove_hook(hook)
    assert await store.due_hooks(until, 10) == []
    assert await store.take_hook(hook, until) is None


async def threads_that_wait_are_found_behind_those_that_are_held(store: Store) -> None:
    begin = now()
    for number in range(4):
        await store.add_thread(Thread(f"t{number}"))
        await store.add_run(Run(f"r{number}", f"t{number}", REQUEST, created_at=begin + timedelta(seconds=number)))
    assert await store.waiting_threads(2, []) == ["t0", "t1"]
    assert await store.waiting_threads(2, ["t0", "t1", "t9"]) == ["t2", "t3"]


async def a_lease_has_one_holder(store: Store) -> None:
    for _ in range(2):
        [mine] = [lease for lease in await asyncio.gather(*(store.claim("t1") for _ in range(8))) if lease]
        assert await store.leases() == [mine]
        renewer = store.renewer()
        assert await asyncio.to_thread(renewer.renew, [mine, Lease("t2", "x")]) == [mine]
        renewer.rest()
        assert await asyncio.to_thread(renewer.renew, [mine]) == [mine], "by another connection"
        renewer.rest()
        assert not await store.release(Lease("t1", "other"))
        [seen] = await store.leases()
        assert seen.beat == mine.beat + (2 if store.durable else 0)
        assert await store.release(mine)
        assert not await store.release(mine)
        assert await store.leases() == []


async def of_a_thread_that_is_gone_no_lease_stays(store: Store) -> None:
    lease = await store.claim("t1", new=True)
    assert lease is not None
    assert await store.claim("t1", new=True) is None
    assert await store.release(lease, gone=True)
    assert not await store.release(lease, gone=True)
    assert await store.claim("t1", new=True) is not None


async def an_epoch_is_never_used_twice(store: Store) -> None:
    epochs = []
    for _ in range(2):
        await store.add_thread(Thread("t1"))
        for _ in range(2):
            lease = await store.claim("t1")
            assert lease is not None
            epochs.append(lease.epoch)
            await store.release(lease)
        await store.delete_thread("t1")
    assert sorted(set(epochs)) == epochs


async def threads_are_deleted_together(store: Store) -> None:
    for number in range(3):
        await store.add_thread(Thread(f"t{number}"))
        await store.add_run(Run(f"r{number}", f"t{number}", REQUEST))
    await store.delete_threads(["t0", "t2", "t9"])
    assert [await store.thread(f"t{number}") is None for number in range(3)] == [True, False, True]
    assert [await store.run(f"t{number}", f"r{number}") is None for number in range(3)] == [True, False, True]


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


async def interrupts_are_noted_claimed_and_ended(store: Store) -> None:
    moment = now()
    later, soon = moment + timedelta(hours=1), moment + timedelta(seconds=1)
    await store.add_thread(Thread("t1"))
    asked = [
        Interrupt("t1", "a", "approval", {"ask": {"$set": 2**70, "a.b": 1}}, due=later, since=moment),
        Interrupt("t1", "b", "wait", {}, due=soon, since=moment),
        Interrupt("t2", "c", "approval", {}, since=moment),
    ]
    await store.note_interrupts(asked)
    assert await store.interrupt("t1", "a") == asked[0]
    assert [one.interrupt_id for one in await store.expiring(10)] == ["b", "a"]
    assert await store.asked_threads("", 10) == ["t1", "t2"]
    assert await store.asked_threads("t1", 10) == ["t2"]
    claims = [store.claim_interrupt(asked[1], later + timedelta(seconds=n)) for n in range(4)]
    assert sorted(await asyncio.gather(*claims)) == [False, False, False, True]
    assert [one.interrupt_id for one in await store.expiring(10)] == ["a", "b"]
    await store.note_interrupts([replace(asked[1], since=later)])
    assert await store.interrupt("t1", "b") == asked[1], "the claim is over, and the wait is as old as it was"
    assert await store.end_interrupts("t1", "answered", ids=["b", "a"], but=["a"]) == ["wait"]
    assert await store.end_interrupts("t1", "closed") == ["approval"]
    assert not await store.claim_interrupt(asked[0], later)
    ended = {name: one for name in "ab" if (one := await store.interrupt("t1", name))}
    assert {name: one.status for name, one in ended.items()} == {"a": "closed", "b": "answered"}
    assert all(one.ended is not None and one.ended >= moment for one in ended.values())
    assert await store.expiring(10) == []
    assert await store.asked_threads("", 10) == ["t2"]
    await store.delete_thread("t1")
    assert await store.interrupt("t1", "a") is None


async def a_thread_tells_that_it_was_asked(store: Store) -> None:
    await store.add_thread(Thread("t1"))
    first, second = Run("r1", "t1", REQUEST), Run("r2", "t1", REQUEST)
    await store.add_run(first)
    started = await store.start_run(first, 1)
    assert started is not None
    await store.note_interrupts([Interrupt("t1", "a", "approval", {})])
    assert await store.end_run(started, "interrupted", None, asked=True)
    await store.add_run(second)
    started = await store.start_run(second, 2)
    assert started is not None
    ending = await store.end_run(started, "success", None, asked=False)
    assert ending is not None
    assert ending.was_asked


CASES = [
    *store_contract_runs.CASES,
    threads_are_deleted_together,
    a_thread_is_added_once,
    threads_are_found_and_sorted,
    pages_leave_out_no_thread_of_one_moment,
    threads_are_found_by_owner,
    metadata_is_merged,
    an_epoch_is_never_used_twice,
    of_a_thread_that_is_gone_no_lease_stays,
    a_webhook_is_taken_by_one,
    threads_that_wait_are_found_behind_those_that_are_held,
    a_lease_has_one_holder,
    a_deleted_thread_leaves_nothing,
    idle_threads_are_found,
    interrupts_are_noted_claimed_and_ended,
    a_thread_tells_that_it_was_asked,
]
