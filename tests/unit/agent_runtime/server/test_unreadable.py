"""What can't be read, such as without its key, is listed as such and takes nothing else with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx

from agent_runtime.events.records import DeadLetter, SealedLetter
from agent_runtime.state.records import now
from fakes.agents import running
from fakes.events import eventually, order

REASON = "the key ab12 is missing"
GATE: dict[str, Any] = {"name": "gate", "uses": "approval", "with": {"ask": "Go on?", "routes": {"yes": "end"}}}
ASKS: dict[str, Any] = {"workflow": {"state": {"topic": {"type": "string"}}, "start": "gate", "nodes": [GATE]}}
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


async def _both(letters: Any) -> bool:
    return len(await letters()) == 2


async def _dead(letters: Any) -> bool:
    return any(isinstance(letter, DeadLetter) for letter in await letters())
