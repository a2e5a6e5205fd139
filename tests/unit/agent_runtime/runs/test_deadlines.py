"""Interrupts that nobody answers end in time, once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent_runtime.errors import UnreadableError
from agent_runtime.runs.deadlines import Deadlines
from agent_runtime.state.records import now
from fakes.agents import last_text, running

ASKED: dict[str, Any] = {"input": {"messages": []}, "if_not_exists": "create"}
PATIENT = {"graph": "fakes.asking:patient"}
TWO_KINDS = {"graph": "fakes.asking:approval"}
_DEADLINE = 10.0


async def ended(it: Any, thread: str, count: int) -> list[Any]:
    """The thread's runs once there are so many, all of them ended; the newest first."""
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline:
        runs = await it.client.runs.list(thread)
        if len(runs) >= count and all(run["status"] not in {"pending", "running"} for run in runs):
            return list(runs)
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {count} runs that have ended")


async def test_an_interrupt_ends_at_its_time_and_its_node_is_told():
    async with running(PATIENT) as it:
        begin = time.monotonic()
        waiting = await it.client.runs.wait("t1", "agent", **ASKED)
        assert waiting["__interrupt__"][0]["value"]["type"] == "wait"
        runs = await ended(it, "t1", 2)
        assert 0.4 < time.monotonic() - begin < 3
        assert [run["status"] for run in runs] == ["success", "interrupted"]
        state = await it.client.threads.get_state("t1")
        assert "'type': 'expired'" in last_text(state["values"])
        (interrupt_id,) = [one["id"] for one in waiting["__interrupt__"]]
        kept = await it.agent.store.interrupt("t1", interrupt_id)
        assert kept is not None
        assert kept.status == "expired"


async def test_one_that_is_answered_in_time_does_not_end_once_more():
    async with running(PATIENT) as it:
        waiting = await it.client.runs.wait("t1", "agent", **ASKED)
        values = await it.client.runs.wait("t1", "agent", command={"resume": "here it is"})
        assert last_text(values) == "here it is"
        kept = await it.agent.store.interrupt("t1", waiting["__interrupt__"][0]["id"])
        assert kept is not None
        assert kept.status == "answered"
        await asyncio.sleep(0.7)
        assert len(await it.client.runs.list("t1")) == 2


async def test_many_pods_that_claim_nothing_still_begin_one_run():
    async with running(TWO_KINDS) as it:
        waiting = await it.client.runs.wait("t1", "agent", **ASKED)
        kept = await it.agent.store.interrupt("t1", waiting["__interrupt__"][0]["id"])
        assert kept is not None
        others = [Deadlines(lambda: it.agent.runs, it.agent.metrics) for _ in range(5)]
        await asyncio.gather(*(one._resume(kept) for one in others), return_exceptions=True)
        assert len(await ended(it, "t1", 2)) == 2


async def test_what_a_pod_claimed_and_left_is_ended_when_the_claim_is_over():
    async with running(TWO_KINDS) as it:
        waiting = await it.client.runs.wait("t1", "agent", **ASKED)
        store = it.agent.store
        kept = await store.interrupt("t1", waiting["__interrupt__"][0]["id"])
        assert kept is not None
        due = replace(kept, due=now() - timedelta(seconds=1))
        await store.note_interrupts([due])
        assert await store.claim_interrupt(due, now() + timedelta(seconds=0.3))
        deadlines = Deadlines(lambda: it.agent.runs, it.agent.metrics)
        await deadlines.look()
        assert len(await it.client.runs.list("t1")) == 1, "another pod sees to it"
        await asyncio.sleep(0.35)
        await deadlines.look()
        assert len(await ended(it, "t1", 2)) == 2


async def test_what_waits_in_a_thread_that_went_on_is_closed_and_begins_nothing():
    async with running(TWO_KINDS) as it:
        waiting = await it.client.runs.wait("t1", "agent", **ASKED)
        await it.client.threads.update_state("t1", {"messages": []})
        kept = await it.agent.store.interrupt("t1", waiting["__interrupt__"][0]["id"])
        assert kept is not None
        assert kept.status == "closed"
        await it.agent.store.note_interrupts([replace(kept, due=now(), status="open")])
        await Deadlines(lambda: it.agent.runs, it.agent.metrics).look()
        assert len(await it.client.runs.list("t1")) == 1
        kept = await it.agent.store.interrupt("t1", kept.interrupt_id)
        assert kept is not None
        assert kept.status == "closed"


async def test_a_sweep_closes_what_a_pod_that_died_left_open():
    async with running(TWO_KINDS) as it:
        waiting = await it.client.runs.wait("t1", "agent", **ASKED)
        store = it.agent.store
        kept = await store.interrupt("t1", waiting["__interrupt__"][0]["id"])
        assert kept is not None
        await it.client.runs.wait("t1", "agent", command={"resume": "yes"})
        await store.note_interrupts([kept])
        await Deadlines(lambda: it.agent.runs, it.agent.metrics).sweep()
        kept = await store.interrupt("t1", kept.interrupt_id)
        assert kept is not None
        assert kept.status == "closed"


async def test_one_that_cannot_be_read_holds_up_no_other_and_is_told_once(monkeypatch: pytest.MonkeyPatch):
    async with running(TWO_KINDS) as it:
        store = it.agent.store
        thread_of = store.thread

        async def thread(thread_id: str) -> Any:
            if thread_id == "t1":
                raise UnreadableError("the key is missing")
            return await thread_of(thread_id)

        for name in ("t1", "t2"):
            waiting = await it.client.runs.wait(name, "agent", **ASKED)
            kept = await store.interrupt(name, waiting["__interrupt__"][0]["id"])
            assert kept is not None
            await store.note_interrupts([replace(kept, due=now() - timedelta(seconds=2 if name == "t1" else 1))])
        monkeypatch.setattr(store, "thread", thread)
        deadlines = Deadlines(lambda: it.agent.runs, it.agent.metrics)
        with capture_logs() as logs:
            await deadlines.look()
            for one in await store.expiring(5):
                await store.note_interrupts([replace(one, due=now() - timedelta(seconds=1))])
            await deadlines.look()
            await deadlines.sweep()
        assert [line["thread_id"] for line in logs if "can't be read" in line["event"]] == ["t1"]
        monkeypatch.undo()
        assert len(await ended(it, "t2", 2)) == 2
        assert len(await it.client.runs.list("t1")) == 1


async def test_its_time_ends_one_whose_thread_can_be_read_while_it_cannot():
    async with running(TWO_KINDS) as it:
        waiting = await it.client.runs.wait("t1", "agent", **ASKED)
        store = it.agent.store
        kept = await store.interrupt("t1", waiting["__interrupt__"][0]["id"])
        assert kept is not None
        await store.note_interrupts([replace(kept, value={}, unreadable="the key is missing", due=now())])
        await Deadlines(lambda: it.agent.runs, it.agent.metrics).look()
        assert len(await ended(it, "t1", 2)) == 2
