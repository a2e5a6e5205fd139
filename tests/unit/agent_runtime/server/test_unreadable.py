"""What can't be read, such as without its key, is listed as such and takes nothing else with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from a2a.client.errors import A2AClientError
from a2a.types.a2a_pb2 import GetTaskRequest, ListTasksRequest
from a2a.utils.errors import InternalError
from langgraph_sdk.errors import APIStatusError

from agent_runtime.errors import AgentError, StateLostError, UnreadableError
from agent_runtime.events.records import DeadLetter, SealedLetter
from agent_runtime.items.base import SealedItem
from agent_runtime.server.chat import THREAD_HEADER
from agent_runtime.state.records import now
from fakes import a2a
from fakes.agents import CHAT, ECHO, running
from fakes.events import eventually, order

if TYPE_CHECKING:
    from langgraph.store.base import SearchItem, SearchOp

    from agent_runtime.state.records import CancelAction, Run
    from fakes.agents import RunningAgent

REASON = "the key ab12 is missing"
GATE: dict[str, Any] = {"name": "gate", "uses": "approval", "with": {"ask": "Go on?", "routes": {"yes": "end"}}}
ASKS: dict[str, Any] = {"workflow": {"state": {"topic": {"type": "string"}}, "start": "gate", "nodes": [GATE]}}
CHANNELS = {"messages": {"type": "messages"}}
SPEAKS: dict[str, Any] = {"models": [ECHO], "workflow": CHAT}
SLOW = {"name": "default", "provider": "scripted", "script": [{"reply": "done", "delay": "30s"}]}
REFUSES = {
    "workflow": {"state": {"count": {"type": "integer"}}, "start": "gate", "nodes": [GATE]},
    "events": {"subscribe": [{"name": "s", "type": "*", "start": {"input": {"count": "event.id"}}}]},
}


async def test_an_approval():
    async with running(ASKS) as it, httpx.AsyncClient(base_url=it.url) as http:
        for thread in ("t1", "t2"):
            await it.client.runs.wait(thread, "agent", input={"topic": "x"}, if_not_exists="create")
        sealed, _ = (await http.get("/approvals")).json()["approvals"]
        store = it.agent.store
        kept = await store.interrupt("t1", sealed["interrupt_id"])
        assert kept is not None
        due = now() + timedelta(hours=1)
        await store.note_interrupts([replace(kept, value={}, unreadable=REASON, due=due)])
        first, second = (await http.get("/approvals")).json()["approvals"]
        assert first == {
            "id": sealed["id"],
            "thread_id": "t1",
            "interrupt_id": sealed["interrupt_id"],
            "status": "open",
            "node": "gate",
            "unreadable": REASON,
            "expires_at": due.isoformat(timespec="milliseconds"),
            "since": sealed["since"],
        }
        assert second["ask"] == "Go on?"
        assert (await http.get(f"/approvals/{first['id']}")).json() == first
        for _ in range(2):
            answer = await http.post(
                f"/approvals/{first['id']}", json={"answer": "yes"}, headers={"idempotency-key": "k"}
            )
            assert answer.status_code == 202, "its thread can be read"


async def test_a_dead_letter():
    async with running(REFUSES) as it, httpx.AsyncClient(base_url=it.url) as http:
        assert it.agent.events is not None
        log = it.agent.events.log
        for number in ("one", "two"):
            await log.append(order(number, subject=None))
        await eventually(lambda: _both(log.dead_letters))
        letters: dict[str, Any] = log._storage._letters  # type: ignore[attr-defined]
        first = letters[min(letters)]
        told = {name: getattr(first, name) for name in ("id", "consumer", "owner", "error", "attempts", "died_at")}
        letters[first.id] = SealedLetter(**told, accepted_at=first.accepted_at, unreadable=REASON)
        sealed, other = (await http.get("/events/dead-letters")).json()["dead_letters"]
        assert sealed.keys() == {*other, "unreadable"} - {"event"}
        assert sealed["unreadable"] == REASON
        replayed = await http.post(f"/events/dead-letters/{first.id}/replay")
        assert (replayed.status_code, replayed.json()["detail"]) == (503, REASON)
        both = await http.post("/events/dead-letters/replay?consumer=subscribe/s")
        assert both.json() == {"replayed": 1, "more": False}
        assert isinstance(letters[first.id], SealedLetter)
        assert (await http.delete(f"/events/dead-letters/{first.id}")).status_code == 204


async def test_a_replay_of_all_goes_on_behind_those_that_stay(monkeypatch):
    monkeypatch.setattr("agent_runtime.events.letters._SCANNED", 1)
    monkeypatch.setattr("agent_runtime.events.letters._BATCH", 1)
    async with running(REFUSES) as it, httpx.AsyncClient(base_url=it.url) as http:
        assert it.agent.events is not None
        storage = it.agent.events.log._storage
        moment = now()
        for number in range(3):
            sealed = SealedLetter(f"a{number}", "subscribe/s", "anonymous", "no", 1, moment, moment, REASON)
            storage._letters[sealed.id] = sealed  # type: ignore[attr-defined]
        await it.agent.events.log.append(order("one", subject=None))
        await eventually(lambda: _dead(it.agent.events.log.dead_letters))  # type: ignore[union-attr]
        replayed = await http.post("/events/dead-letters/replay?consumer=subscribe/s")
        assert replayed.json()["replayed"] == 1


def _seal(it: RunningAgent, thread_id: str, run_id: str) -> None:
    """Has a run as a store lists it that can't read it."""
    runs = it.agent.store._kept[thread_id].runs  # type: ignore[attr-defined]
    runs[run_id] = replace(runs[run_id], request={}, unreadable=REASON)


def _seal_state(
    it: RunningAgent, thread_id: str, monkeypatch: pytest.MonkeyPatch, kind: type[AgentError] = UnreadableError
) -> None:
    """Has a thread's state be none that can be read."""
    state = it.agent.graph.aget_state

    async def aget_state(config: Any, **options: Any) -> Any:
        if config["configurable"]["thread_id"] == thread_id:
            raise kind(REASON)
        return await state(config, **options)

    monkeypatch.setattr(it.agent.graph, "aget_state", aget_state)


async def test_a_run():
    async with running(SPEAKS) as it:
        client, said = it.client, {"messages": [{"role": "user", "content": "hi"}]}
        for _ in range(2):
            await client.runs.wait("t1", "agent", input=said, if_not_exists="create")
        sealed = (await client.runs.list("t1"))[0]
        _seal(it, "t1", sealed["run_id"])
        first, second = await client.runs.list("t1")
        assert first == {**sealed, "multitask_strategy": None, "unreadable": REASON}
        assert "unreadable" not in second
        assert (await client.runs.list("t1", select=["run_id"]))[0] == {
            "run_id": sealed["run_id"],
            "unreadable": REASON,
        }


async def test_a_task():
    async with running(SPEAKS) as it, a2a.client(it.url, streaming=False) as caller:
        tasks = [await a2a.sent(caller, a2a.message(text)) for text in ("one", "two")]
        _seal(it, tasks[1].context_id, tasks[1].id)
        found = (await caller.list_tasks(ListTasksRequest(include_artifacts=True))).tasks
        by_id = {one.id: one for one in found}
        assert a2a.texts(by_id[tasks[0].id]) == ["You said: one"]
        assert REASON in by_id[tasks[1].id].status.message.parts[0].text
        with pytest.raises(A2AClientError, match="503"):
            await caller.get_task(GetTaskRequest(id=tasks[1].id))


@pytest.mark.parametrize(("kind", "status"), [(UnreadableError, "503"), (StateLostError, "500")])
async def test_a_task_whose_state_can_not_be_read(kind, status, monkeypatch):
    async with running(SPEAKS) as it, a2a.client(it.url, streaming=False) as caller:
        said = [a2a.message(text) for text in ("one", "two")]
        tasks = [await a2a.sent(caller, one) for one in said]
        _seal_state(it, tasks[1].context_id, monkeypatch, kind)
        found = (await caller.list_tasks(ListTasksRequest(include_artifacts=True))).tasks
        by_id = {one.id: one for one in found}
        assert a2a.texts(by_id[tasks[0].id]) == ["You said: one"]
        assert REASON in by_id[tasks[1].id].status.message.parts[0].text
        with pytest.raises(A2AClientError, match=status):
            await caller.get_task(GetTaskRequest(id=tasks[1].id))
        with pytest.raises(A2AClientError, match=status):
            await a2a.sent(caller, said[1])


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_task_that_can_not_be_read_when_it_ends(streaming, monkeypatch):
    async def find_runs(_: Any) -> list[Run]:
        raise UnreadableError(REASON)

    async with running(SPEAKS) as it, a2a.client(it.url, streaming=streaming) as caller:
        monkeypatch.setattr(it.agent.store, "find_runs", find_runs)
        with pytest.raises(InternalError, match=REASON):
            await (a2a.streamed if streaming else a2a.sent)(caller, a2a.message("one"))


@pytest.mark.parametrize("what", ["run", "state"])
async def test_what_a_thread_asks_of_one_who_chats(what, monkeypatch):
    async with running({**ASKS, "workflow": {**ASKS["workflow"], "state": CHANNELS}}) as it:
        await it.client.runs.wait("t1", "agent", input={"messages": []}, if_not_exists="create")
        (run,) = await it.client.runs.list("t1")
        if what == "run":
            _seal(it, "t1", run["run_id"])
        else:
            _seal_state(it, "t1", monkeypatch)
        chat = openai.AsyncOpenAI(
            base_url=f"{it.url}/v1", api_key="none", default_headers={THREAD_HEADER: "t1"}, max_retries=0
        )
        async with chat:
            with pytest.raises(openai.InternalServerError, match=REASON):
                await chat.chat.completions.create(model="agent", messages=[{"role": "user", "content": "yes"}])
        assert len(await it.client.runs.list("t1")) == 1, "no other run goes past the question"


async def test_one_of_the_runs_that_are_cancelled(monkeypatch):
    async with running({**SPEAKS, "models": [SLOW]}) as it:
        for thread in ("t1", "t2"):
            await it.client.threads.create(thread_id=thread)
        runs = [await it.client.runs.create(thread, "agent", input={"messages": []}) for thread in ("t1", "t2")]
        store = it.agent.store
        asked = store.request_cancel

        async def request_cancel(run: Run, action: CancelAction) -> Run | None:
            noted = await asked(run, action)
            if run.thread_id == "t1":
                raise UnreadableError(REASON)
            return noted

        monkeypatch.setattr(store, "request_cancel", request_cancel)
        await it.client.runs.cancel_many(status="all")
        await it.client.runs.join("t2", runs[1]["run_id"])
        assert (await it.client.runs.get("t2", runs[1]["run_id"]))["status"] == "interrupted"


async def test_one_of_the_runs_that_are_named_to_be_cancelled(monkeypatch):
    async with running({**SPEAKS, "models": [SLOW]}) as it:
        await it.client.threads.create(thread_id="t1")
        runs = [await it.client.runs.create("t1", "agent", input={"messages": []}) for _ in range(2)]
        names = [run["run_id"] for run in runs]
        store = it.agent.store
        asked = store.run

        async def run(thread_id: str, run_id: str) -> Run | None:
            if run_id == names[0]:
                raise UnreadableError(REASON)
            return await asked(thread_id, run_id)

        monkeypatch.setattr(store, "run", run)
        await it.client.runs.cancel_many(thread_id="t1", run_ids=names)
        await it.client.runs.join("t1", names[1])
        assert (await it.client.runs.get("t1", names[1]))["status"] == "interrupted"


async def test_an_item(monkeypatch):
    async with running(SPEAKS) as it:
        await it.client.store.put_item(["notes"], key="k", value={"a": 1})
        (plain,) = (await it.client.store.search_items(["notes"]))["items"]
        moment, find = now(), it.agent.items.find

        async def found(asked: SearchOp, *, sealed: bool = False) -> list[SearchItem]:
            assert sealed
            one = SealedItem(
                REASON, namespace=asked.namespace_prefix, key="sealed", created_at=moment, updated_at=moment
            )
            return [one, *await find(asked)]

        monkeypatch.setattr(it.agent.items, "find", found)
        sealed, other = (await it.client.store.search_items(["notes"]))["items"]
        assert (sealed["key"], sealed["value"], sealed["unreadable"]) == ("sealed", {}, REASON)
        assert other == plain


async def test_a_thread(monkeypatch):
    async with running(SPEAKS) as it:
        said = {"messages": [{"role": "user", "content": "hi"}]}
        for thread in ("t1", "t2"):
            await it.client.runs.wait(thread, "agent", input=said, if_not_exists="create")
        _seal_state(it, "t2", monkeypatch)
        sealed, other = await it.client.threads.search()
        assert (sealed["thread_id"], sealed["values"], sealed["unreadable"]) == ("t2", None, REASON)
        assert other["values"]["messages"]
        assert "unreadable" in (await it.client.threads.search(select=["thread_id", "values"]))[0]
        with pytest.raises(APIStatusError, match=REASON):
            await it.client.threads.get("t2")


async def _both(letters: Any) -> bool:
    return len(await letters()) == 2


async def _dead(letters: Any) -> bool:
    return any(isinstance(letter, DeadLetter) for letter in await letters())
