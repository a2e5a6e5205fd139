"""Large bodies, and many of them, leave a pod its memory."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from agent_runtime.plain import weight
from agent_runtime.server import bodies
from agent_runtime.state.records import Thread
from fakes.agents import CHAT, ECHO, RunningAgent, running

KEYS = {"anne": "anne-" + "a" * 16, "bert": "bert-" + "b" * 16}
SPEC = {"models": [ECHO], "workflow": CHAT, "auth": {"apiKeys": {"secretRef": {"name": "keys"}}}}
LARGE = {"metadata": {"lists": [[]] * 1000}}
_WAITING = 20.0


async def _create(http: httpx.AsyncClient, name: str, body: object) -> httpx.Response:
    return await http.post("/threads", json=body, headers={"x-api-key": KEYS[name]})


def _stuck(it: RunningAgent, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Semaphore]:
    """Has the store wait with new threads until the event; the semaphore tells of each that waits."""
    go, waiting = asyncio.Event(), asyncio.Semaphore(0)
    add = it.agent.store.add_thread

    async def later(thread: Thread) -> bool:
        waiting.release()
        await go.wait()
        return await add(thread)

    monkeypatch.setattr(it.agent.store, "add_thread", later)
    return go, waiting


async def test_bodies_that_are_worked_on_are_bounded_and_one_caller_leaves_room_for_others(tmp_path, monkeypatch):
    for name, key in KEYS.items():
        (tmp_path / name).write_text(key)
    monkeypatch.setattr(bodies, "HELD_BYTES", int(weight(LARGE) * 4.5))
    async with running(SPEC, api_keys_dir=tmp_path) as it, httpx.AsyncClient(base_url=it.url, timeout=_WAITING) as http:
        go, waiting = _stuck(it, monkeypatch)
        begun = []
        for name in ("anne", "anne", "bert", "bert"):
            begun.append(asyncio.create_task(_create(http, name, LARGE)))
            async with asyncio.timeout(_WAITING):
                await waiting.acquire()
        for name in KEYS:
            refused = await _create(http, name, LARGE)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert "wait for an answer" in refused.json()["detail"]
        monkeypatch.setattr(bodies, "HELD_BYTES", weight(LARGE) * 4 + 100)
        small = asyncio.create_task(_create(http, "anne", {"metadata": {"lists": [[]] * 40}}))
        assert (await small).status_code in {429, 503}
        go.set()
        assert [answer.status_code for answer in await asyncio.gather(*begun)] == [200] * 4
        assert (await _create(http, "anne", LARGE)).status_code == 200


async def test_what_begins_an_answer_gives_its_room_back(tmp_path, monkeypatch):
    for name, key in KEYS.items():
        (tmp_path / name).write_text(key)
    turn = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "x" * 5000}]}}
    slow = {"name": "default", "provider": "scripted", "script": [{"reply": "late", "delay": "2s"}]}
    monkeypatch.setattr(bodies, "HELD_BYTES", weight(turn) + 1000)
    async with (
        running({**SPEC, "models": [slow]}, api_keys_dir=tmp_path) as it,
        httpx.AsyncClient(base_url=it.url, timeout=_WAITING, headers={"x-api-key": KEYS["anne"]}) as http,
        http.stream("POST", "/runs/stream", json=turn) as first,
        http.stream("POST", "/runs/wait", json=turn) as second,
    ):
        assert (first.status_code, second.status_code) == (200, 200)
        chat = {"model": "tested", "messages": turn["input"]["messages"]}
        answers = await asyncio.gather(*(http.post("/v1/chat/completions", json=chat) for _ in range(2)))
        answers.sort(key=lambda answer: answer.status_code)
        assert [answer.status_code for answer in answers] == [200, 429]
        assert "wait for an answer" in answers[1].json()["error"]["message"]


async def test_events_and_calls_by_mcp_are_counted_as_well(tmp_path, monkeypatch):
    for name, key in KEYS.items():
        (tmp_path / name).write_text(key)
    spec = {**SPEC, "serve": {"mcp": True}, "events": {}}
    event = {"specversion": "1.0", "id": "1", "source": "/a", "type": "t", "data": LARGE}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "tested", "arguments": LARGE}}
    bodies_of = {"/events": ("application/cloudevents+json", event), "/mcp": ("application/json", call)}
    bodies_of["/mcp#several"] = ("application/json", [call])
    monkeypatch.setattr(bodies, "HELD_BYTES", int(weight(LARGE) * 2.5))
    async with running(spec, api_keys_dir=tmp_path) as it, httpx.AsyncClient(base_url=it.url, timeout=_WAITING) as http:
        go, waiting = _stuck(it, monkeypatch)
        begun = asyncio.create_task(_create(http, "anne", LARGE))
        async with asyncio.timeout(_WAITING):
            await waiting.acquire()
        for path, (content_type, body) in bodies_of.items():
            headers = {"x-api-key": KEYS["anne"], "content-type": content_type, "accept": "application/json"}
            refused = await http.post(path, json=body, headers=headers)
            assert (path, refused.status_code) == (path, 429)
            assert "wait for an answer" in refused.json()["detail"]
        go.set()
        assert (await begun).status_code == 200
