"""Events of an agent that keeps its state in memory: subscriptions, and nodes that emit and wait."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.events.event import Event
from agent_runtime.events.log import EventLog
from fakes.agents import RunningAgent, running
from fakes.events import NOTE, STATE, drained, emitting, eventually, order, seen, subscribed, waiting


def log_of(it: RunningAgent) -> EventLog:
    assert it.agent.events is not None
    return it.agent.events.log


async def test_an_event_starts_one_run_and_those_of_a_subject_share_a_thread_in_order():
    async with running(subscribed()) as it:
        log = log_of(it)
        for number in range(5):
            assert await log.append(order(number, "a"))
            assert await log.append(order(f"b{number}", "b"))
        assert not await log.append(order(0, "a"))

        async def complete() -> bool:
            return sorted(await seen(it.client)) == [["0", "1", "2", "3", "4"], ["b0", "b1", "b2", "b3", "b4"]]

        await eventually(complete)
        threads = await it.client.threads.search()
        runs = [run for thread in threads for run in await it.client.runs.list(thread["thread_id"])]
        assert len(runs) == 10
        assert runs[0]["metadata"]["apm_event"]["subscription"] == "orders"


@pytest.mark.parametrize(
    "event", [order(1, total=5), order(1, kind="shop.other"), Event(id="1", source="s", type="shop.order.made")]
)
async def test_what_does_not_fit_starts_nothing(event: Event):
    async with running(subscribed()) as it:
        await log_of(it).append(event)
        await drained(log_of(it))
        assert await it.client.threads.search() == []


async def test_an_event_that_fits_no_state_becomes_a_dead_letter():
    spec = subscribed()
    spec["events"]["subscribe"][0]["start"] = {"input": {"order": "event.data.total"}}
    async with running(spec) as it:
        await log_of(it).append(order(1))

        async def dead() -> list[Any]:
            return await log_of(it).dead_letters()

        (letter,) = await eventually(dead)
        assert letter.consumer == "subscribe/orders"
        assert letter.attempts == 1
        assert "order" in letter.error


async def test_a_message_starts_a_conversation():
    spec = {
        "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "Heard: {{ last }}"}]}],
        "workflow": {"start": "answer", "nodes": [{"name": "answer", "uses": "model"}]},
        "events": {"subscribe": [{"name": "talk", "type": "t", "start": {"message": "Order {{ event.id }} came"}}]},
    }
    async with running(spec) as it:
        await log_of(it).append(Event(id="7", source="/shop", type="t"))

        async def answered() -> bool:
            threads = await it.client.threads.search(status="idle")
            values = [(await it.client.threads.get_state(one["thread_id"]))["values"] for one in threads]
            return any(one["messages"][-1]["content"] == "Heard: Order 7 came" for one in values if one)

        await eventually(answered)


async def test_a_node_emits_once_and_its_own_agent_hears_it():
    spec = subscribed()
    spec["workflow"]["nodes"] = [{**emitting("shop.order.next"), "next": "note"}, NOTE]
    spec["workflow"]["start"] = "tell"
    spec["events"]["subscribe"][0]["filter"] = "event.apmhops < 3"
    async with running(spec) as it:
        values = await it.client.runs.wait(None, "agent", input={"order": "x"})
        assert len(values["order"]) == 36

        async def settled() -> bool:
            await drained(log_of(it))
            threads = await it.client.threads.search(limit=100)
            return len(threads) >= 2 and all(thread["status"] == "idle" for thread in threads)

        await eventually(settled)


async def test_a_loop_of_events_ends_by_its_hops():
    spec = subscribed(threads=False)
    spec["workflow"] = {**spec["workflow"], "start": "tell", "nodes": [emitting()]}
    async with running(spec) as it:
        await log_of(it).append(order("first"))

        async def ended() -> bool:
            return bool(await it.client.threads.search(status="error"))

        await eventually(ended)
        threads = await it.client.threads.search(limit=100)
        assert len(threads) == 9
        (failed,) = [thread for thread in threads if thread["status"] == "error"]
        (run,) = await it.client.runs.list(failed["thread_id"])
        assert "loop of events" in str(run)


async def test_a_run_waits_for_its_event():
    async with running(waiting()) as it:
        log = log_of(it)
        thread = (await it.client.threads.create())["thread_id"]
        values = await it.client.runs.wait(thread, "agent", input={"order": "o1"})
        assert values["__interrupt__"][0]["value"]["type"] == "wait"
        await log.append(order("p0", "other", kind="bank.paid"))
        await log.append(order("p1", "o1", kind="bank.paid"))

        async def noted() -> Any:
            state = await it.client.threads.get_state(thread)
            return state["values"].get("seen") and state

        state = await eventually(noted)
        assert state["values"]["event"]["id"] == "p1"
        assert state["values"]["event"]["data"] == {"total": 20}
        assert not await log.append(order("p1", "o1", kind="bank.paid"))
        assert len(await it.client.runs.list(thread)) == 2


async def test_an_answer_that_comes_before_its_question_is_kept_for_it():
    async with running(waiting()) as it:
        await log_of(it).append(order("p1", "o1", kind="bank.paid"))
        await drained(log_of(it))
        values = await it.client.runs.wait(None, "agent", input={"order": "o1"})
        assert values["event"]["id"] == "p1"
        again = await it.client.runs.wait(None, "agent", input={"order": "o1"})
        assert "__interrupt__" in again, "the early event was for one"


async def test_a_filter_reads_state_and_event():
    async with running(waiting(subject=None, filter="event.data.total > 10 && event.subject == state.order")) as it:
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(thread, "agent", input={"order": "o1"})
        await log_of(it).append(order("cheap", "o1", total=5, kind="bank.paid"))
        await log_of(it).append(order("right", "o1", kind="bank.paid"))

        async def noted() -> Any:
            return (await it.client.threads.get_state(thread))["values"].get("event")

        assert (await eventually(noted))["id"] == "right"


@pytest.mark.parametrize(("to", "expected"), [("late", ["late"]), ("end", [])])
async def test_who_waits_in_vain_goes_on_in_time(to: str, expected: list[str]):
    async with running(waiting(timeout="300ms", onTimeout=to)) as it:
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(thread, "agent", input={"order": "o1"})

        async def idle() -> bool:
            return (await it.client.threads.get(thread))["status"] == "idle"

        await eventually(idle)
        assert (await it.client.threads.get_state(thread))["values"].get("seen") == expected


async def test_without_a_way_on_who_waits_in_vain_fails():
    async with running(waiting(timeout="200ms")) as it:
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(thread, "agent", input={"order": "o1"})

        async def failed() -> bool:
            return (await it.client.threads.get(thread))["status"] == "error"

        await eventually(failed)


async def test_a_subscription_resumes_a_thread_that_waits_for_an_approval():
    gate = {"name": "gate", "uses": "approval", "with": {"ask": "Go?", "routes": {"yes": "note", "no": "end"}}}
    spec = subscribed()
    spec["workflow"] = {"state": STATE, "start": "gate", "nodes": [gate, NOTE]}
    spec["events"]["subscribe"].append(
        {"name": "go", "type": "boss.said", "resume": {"threadKey": "event.subject", "answer": "event.data.word"}}
    )
    async with running(spec) as it:
        log = log_of(it)
        await log.append(order("1", "a"))
        await log.append(Event(id="2", source="/boss", type="boss.said", subject="a", data={"word": "yes"}))

        async def noted() -> bool:
            return await seen(it.client) == [["1"]]

        await eventually(noted)


async def test_runs_of_a_for_each_wait_side_by_side():
    state = {"seen": {"type": "array", "reduce": "append"}, "orders": {"type": "array"}, "event": {"type": "any"}}
    nodes = [
        {"name": "go", "uses": "set", "with": {"values": {"orders": "['a', 'b', 'c']"}},
         "next": {"forEach": "state.orders", "as": "one", "to": "paid", "max": 5}},
        {"name": "paid", "uses": "wait", "with": {"type": "bank.paid", "subject": "state.one"}, "next": "done"},
        {"name": "done", "uses": "set", "with": {"values": {"seen": "['done']"}}, "defer": True},
    ]  # fmt: skip
    async with running({"workflow": {"state": state, "start": "go", "nodes": nodes}, "events": {}}) as it:
        thread = (await it.client.threads.create())["thread_id"]
        values = await it.client.runs.wait(thread, "agent", input={})
        assert len(values["__interrupt__"]) == 3
        for name in "bca":
            await log_of(it).append(order(f"p{name}", name, kind="bank.paid"))
        await eventually(lambda: _has_seen(it, [["done"]]))


async def test_one_event_goes_to_all_that_wait_in_a_thread():
    paid = {"uses": "wait", "with": {"type": "bank.paid"}}
    done = {"name": "done", "uses": "set", "with": {"values": {"seen": "['done']"}}, "needs": ["left", "right"]}
    nodes = [{"name": "left", **paid}, {"name": "right", **paid}, done]
    async with running({"workflow": {"state": STATE, "start": ["left", "right"], "nodes": nodes}}) as it:
        await it.client.runs.wait(None, "agent", input={"order": "o1"}, on_completion="keep")
        await log_of(it).append(order("p", "any", kind="bank.paid"))
        await eventually(lambda: _has_seen(it, [["done"]]))
        (thread,) = await it.client.threads.search()
        assert len(await it.client.runs.list(thread["thread_id"])) == 2


async def test_one_event_wakes_all_that_wait_for_it():
    async with running(waiting(subject=None)) as it:
        for number in range(3):
            await it.client.runs.wait(None, "agent", input={"order": f"o{number}"}, on_completion="keep")
        await log_of(it).append(order("p", "any", kind="bank.paid"))
        await eventually(lambda: _has_seen(it, [["o0"], ["o1"], ["o2"]]))


async def test_a_sub_workflow_waits_as_well():
    state = {"order": {"type": "string"}, "event": {"type": "object"}, "seen": {"type": "array", "reduce": "append"}}
    inner = {
        "name": "inner",
        "state": {"order": {"type": "string"}, "event": {"type": "object"}},
        "start": "paid",
        "nodes": [
            {"name": "paid", "uses": "wait", "with": {"type": "bank.*", "subject": "state.order", "save": "event"}}
        ],
    }
    nodes = [{"name": "sub", "uses": "workflow", "with": {"ref": "inner"}, "next": "note"}, NOTE]
    spec = {"workflow": {"state": state, "start": "sub", "nodes": nodes}, "workflows": [inner]}
    async with running(spec) as it:
        await it.client.runs.wait(None, "agent", input={"order": "o1"}, on_completion="keep")
        await log_of(it).append(order("p", "o1", kind="bank.paid"))
        await eventually(lambda: _has_seen(it, [["o1"]]))


async def test_a_wait_takes_each_event_once_in_a_loop():
    state = {"order": {"type": "string"}, "seen": {"type": "array", "reduce": "append"}, "event": {"type": "object"}}
    nodes = [
        {"name": "paid", "uses": "wait", "with": {"type": "bank.paid", "subject": "state.order", "save": "event"},
         "next": "add"},
        {"name": "add", "uses": "set", "with": {"values": {"seen": "[state.event.id]"}},
         "next": {"switch": [{"when": "size(state.seen) >= 3", "to": "end"}], "else": "paid"}},
    ]  # fmt: skip
    spec = {"workflow": {"state": state, "start": "paid", "nodes": nodes, "limits": {"steps": 20}}}
    async with running(spec) as it:
        await it.client.runs.wait(None, "agent", input={"order": "o1"}, on_completion="keep")
        for number in range(3):
            await log_of(it).append(order(number, "o1", kind="bank.paid"))
        await eventually(lambda: _has_seen(it, [["0", "1", "2"]]))


async def _has_seen(it: RunningAgent, expected: list[list[str]]) -> bool:
    return sorted(await seen(it.client)) == expected
