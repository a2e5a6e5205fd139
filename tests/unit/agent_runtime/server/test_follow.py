"""Answers that follow a run end when the client leaves, when it does not read, and after their time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agent_runtime.server import follow
from fakes.agents import CHAT, ECHO, RunningAgent, person, running

SLOW = {
    "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "late", "delay": "1m"}]}],
    "workflow": CHAT,
}


async def _until(it: RunningAgent, thread: str, run_id: str, status: str) -> None:
    async with asyncio.timeout(10):
        while (await it.client.runs.get(thread, run_id))["status"] != status:  # noqa: ASYNC110 - polled with a deadline
            await asyncio.sleep(0.01)


async def _leave(it: RunningAgent, method: str, path: str, body: dict[str, Any] | None = None) -> str:
    """Asks, reads the head of the answer, and goes away; the id of the run."""
    async with it.client.http.client.stream(method, path, json=body) as answer:
        assert answer.status_code == 200
        return answer.headers["content-location"].rpartition("/")[2]


@pytest.mark.parametrize("way", ["wait", "stream"])
@pytest.mark.parametrize(("choice", "status"), [("cancel", "interrupted"), ("continue", "running")])
async def test_a_run_ends_with_its_client_where_asked_to(way, choice, status):
    async with running(SLOW) as it:
        thread = (await it.client.threads.create())["thread_id"]
        body = {"assistant_id": "agent", "input": person("hi"), "on_disconnect": choice}
        run = await _leave(it, "POST", f"/threads/{thread}/runs/{way}", body)
        await _until(it, thread, run, status)
        async with asyncio.timeout(5):
            while it.agent.metrics._open._value.get():  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.01)
        assert (await it.client.runs.get(thread, run))["status"] == status


@pytest.mark.parametrize("way", ["join", "stream"])
async def test_a_run_that_waits_ends_with_the_client_that_joined_it(way):
    async with running(SLOW) as it:
        thread = (await it.client.threads.create())["thread_id"]
        first, second = [await it.client.runs.create(thread, "agent", input=person("hi")) for _ in range(2)]
        await _leave(it, "GET", f"/threads/{thread}/runs/{second['run_id']}/{way}?cancel_on_disconnect=true")
        await _until(it, thread, second["run_id"], "interrupted")
        assert (await it.client.runs.get(thread, first["run_id"]))["status"] == "running"


async def test_an_answer_ends_after_its_time_and_the_run_goes_on():
    async with running(SLOW, follow_limit=0.3) as it, asyncio.timeout(10):
        thread = (await it.client.threads.create())["thread_id"]
        http, body = it.client.http.client, {"assistant_id": "agent", "input": person("hi"), "on_disconnect": "cancel"}
        waited = await http.post(f"/threads/{thread}/runs/wait", json=body)
        assert json.loads(waited.text)["__error__"]["message"] == (
            "no answer is kept open for longer than 0.3 s; the run goes on: join it"
        )
        path = waited.headers["content-location"]
        streamed = await http.get(f"{path}/stream")
        assert streamed.text.endswith(": no stream is kept open for longer than 0.3 s; the run goes on: join it\n\n")
        assert (await http.get(path)).json()["status"] == "running"


async def test_a_client_that_does_not_read_is_cut_off(monkeypatch):
    monkeypatch.setattr(follow, "_GRACE", 0.2)
    nodes = [{"name": "a", "uses": "set", "with": {"values": {"n": "state.n + 1"}}, "next": "a"}]
    state = {"n": {"type": "integer"}, "text": {"type": "string"}}
    workflow = {"state": state, "start": "a", "limits": {"steps": 20}, "nodes": nodes}
    async with running({"models": [ECHO], "workflow": workflow}, follow_limit=0.5) as it:
        body = json.dumps({"assistant_id": "agent", "input": {"text": "x" * 900_000}, "stream_mode": "values"}).encode()
        host, _, port = it.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1)
        head = f"POST /runs/stream HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        opened, ended = it.agent.metrics._open._value, 0.0
        async with asyncio.timeout(10):
            while not opened.get():  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.01)
            begin = asyncio.get_running_loop().time()
            while opened.get():  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)
            ended = asyncio.get_running_loop().time() - begin
        assert ended > 0.4
        assert not reader.at_eof()
        writer.transport.abort()
