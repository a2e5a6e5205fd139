"""Threads and runs of one caller are as if they were not there for any other."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agent_runtime.auth.principal import NOBODY, Principal
from agent_runtime.server import runs, threads
from agent_runtime.server.wire import ThreadRoute
from agent_runtime.state.records import Thread
from fakes.agents import CHAT, ECHO, person, running
from fakes.authority import swap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fakes.agents import RunningAgent

KEYS = {"alice": "alices-very-secret-key", "bob": "bobs-very-secret-key-too"}
SPEC = {
    "models": [ECHO],
    "workflow": CHAT,
    "auth": {"anonymous": True, "apiKeys": {"secretRef": {"name": "callers"}}},
}
RUN: dict[str, Any] = {"assistant_id": "agent", "input": person("hello")}
BODIES: dict[str, dict[str, Any]] = {
    "update_thread": {"metadata": {"mine": True}},
    "update_state": {"values": {"messages": []}},
    "get_state_at": {"checkpoint": {"checkpoint_id": "CHECKPOINT"}},
    "create_run": RUN,
    "wait_run": RUN,
    "stream_run": RUN,
}
ROUTES = [
    pytest.param(route, method, id=f"{method} {route.path}")
    for route in (*threads.routes, *runs.routes)
    for method in sorted(route.methods - {"HEAD"})
    if "{thread_id}" in route.path
]


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[tuple[RunningAgent, dict[str, httpx.AsyncClient]]]:
    """An agent, and a client for each caller."""
    swap(folder / "keys", KEYS)
    async with running(SPEC, api_keys_dir=folder / "keys") as it:
        callers = {name: httpx.AsyncClient(base_url=it.url, headers={"x-api-key": key}) for name, key in KEYS.items()}
        callers["nobody"] = httpx.AsyncClient(base_url=it.url)
        yield it, callers
        for http in callers.values():
            await http.aclose()


async def _conversation(http: httpx.AsyncClient, thread: str) -> dict[str, str]:
    """A thread with a run; what the paths of its endpoints take."""
    answer = await http.post(f"/threads/{thread}/runs/wait", json={**RUN, "if_not_exists": "create"})
    assert answer.status_code == 200
    run = answer.headers["content-location"].rpartition("/")[2]
    state = (await http.get(f"/threads/{thread}/state")).json()
    return {"thread_id": thread, "run_id": run, "checkpoint_id": state["checkpoint"]["checkpoint_id"]}


def test_every_path_of_a_thread_takes_the_callers_own_only():
    everywhere = [route for route in (*threads.routes, *runs.routes) if "thread_id" in route.path]
    assert len(everywhere) > 15
    assert all(isinstance(route, ThreadRoute) for route in everywhere)


@pytest.mark.parametrize(("route", "method"), ROUTES)
async def test_a_thread_of_another_caller_is_not_there(tmp_path, route, method):
    async with _served(tmp_path) as (_, callers):
        parts = await _conversation(callers["alice"], "t1")
        path = route.path.format(**parts)
        body = json.dumps(BODIES.get(route.endpoint.__name__, {})).replace("CHECKPOINT", parts["checkpoint_id"])
        for name in ("bob", "nobody"):
            answer = await callers[name].request(method, path, json=json.loads(body))
            assert answer.status_code == 404, (name, answer.text)
            never = await callers[name].request(method, path.replace("t1", "t2"), json=json.loads(body))
            assert (answer.status_code, answer.text.replace("t1", "t2")) == (never.status_code, never.text)
        before = await callers["alice"].get("/threads/t1/state")
        assert before.json()["values"]["messages"][1]["content"] == "You said: hello"
        own = await callers["alice"].request(method, path, json=json.loads(body))
        assert own.status_code in {200, 202, 204} or (own.status_code, route.endpoint.__name__) == (409, "cancel_run")


async def test_the_same_id_names_a_thread_of_each(tmp_path):
    async with _served(tmp_path) as (_, callers):
        for name, http in callers.items():
            assert (await http.post("/threads", json={"thread_id": "t1", "metadata": {"of": name}})).status_code == 200
        for name, http in callers.items():
            assert (await http.post("/threads", json={"thread_id": "t1"})).status_code == 409
            assert (await http.get("/threads/t1")).json()["metadata"]["of"] == name
            found = (await http.post("/threads/search", json={})).json()
            assert [(one["thread_id"], one["metadata"]["of"]) for one in found] == [("t1", name)]
            assert len((await http.post("/threads/search", json={"ids": ["t1"]})).json()) == 1
        assert (await callers["bob"].delete("/threads/t1")).status_code == 204
        assert (await callers["bob"].post("/threads/search", json={})).json() == []
        assert (await callers["alice"].get("/threads/t1")).status_code == 200


async def test_keys_of_others_lead_nowhere(tmp_path):
    async with _served(tmp_path) as (_, callers):
        await _conversation(callers["alice"], "t1")
        key = Principal("alice", "", "apiKey").key("t1")
        for name in ("bob", "nobody", "alice"):
            assert (await callers[name].get(f"/threads/{key}")).status_code == 404
            assert (await callers[name].post("/threads/search", json={"ids": [key]})).json() == []
            created = await callers[name].post(f"/threads/{key}/runs", json={**RUN, "if_not_exists": "create"})
            assert created.status_code == 422
            assert (await callers[name].post("/threads", json={"thread_id": key})).status_code == 422


async def test_an_idempotency_key_joins_no_run_of_another_caller(tmp_path):
    async with _served(tmp_path) as (_, callers):
        found = set()
        for http in callers.values():
            for _ in range(2):
                body = {**RUN, "if_not_exists": "create"}
                answer = await http.post("/threads/t1/runs/wait", json=body, headers={"idempotency-key": "k"})
                found.add(answer.headers["content-location"])
        assert len(found) == 3


async def test_the_thread_of_a_stateless_run_is_its_callers(tmp_path):
    async with _served(tmp_path) as (_, callers):
        answer = await callers["alice"].post("/runs/wait", json={**RUN, "on_completion": "keep"})
        path = answer.headers["content-location"].partition("/runs")[0]
        assert (await callers["alice"].get(path)).status_code == 200
        for name in ("bob", "nobody"):
            assert (await callers[name].get(path)).status_code == 404


async def test_what_a_caller_gets_to_see_tells_no_key(tmp_path):
    async with _served(tmp_path) as (_, callers):
        http, scope = callers["alice"], Principal("alice", "", "apiKey").key("")
        await _conversation(http, "t1")
        modes = ["values", "updates", "messages", "custom", "tasks", "checkpoints", "debug"]
        body = {**RUN, "stream_mode": modes, "stream_subgraphs": True}
        answers = [
            await http.post("/threads/t1/runs/stream", json=body),
            await http.get("/threads/t1"),
            await http.get("/threads/t1/state?subgraphs=true"),
            await http.post("/threads/t1/history", json={}),
            await http.get("/threads/t1/runs"),
            await http.post("/threads/search", json={}),
            await http.post("/threads", json={"thread_id": "t1"}),
            await http.get("/threads/t1/runs/none"),
        ]
        for answer in answers:
            assert scope.rstrip("~") not in answer.text + str(answer.headers), answer.request.url
        assert '"thread_id":"t1"' in answers[0].text


async def test_threads_of_an_older_release_are_those_of_anonymous_callers(tmp_path):
    async with _served(tmp_path) as (it, callers):
        await it.agent.store.add_thread(Thread("old", owner=NOBODY.owner))
        assert (await callers["nobody"].get("/threads/old")).status_code == 200
        assert (await callers["alice"].get("/threads/old")).status_code == 404
