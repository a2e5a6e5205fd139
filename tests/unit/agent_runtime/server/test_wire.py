"""Requests that no client of good will sends get an answer that says so, and leave nothing behind."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from fakes.agents import CHAT, ECHO, RunningAgent, person, running

SPEC = {"models": [ECHO], "workflow": CHAT}
RUN = {"assistant_id": "agent", "input": person("hi"), "if_not_exists": "create"}
DEEP = b"[" * 70 + b"]" * 70


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"metadata": {"a": "\\ud800"}}', "no JSON"),
        (b'{"metadata": {"a": 9223372036854775808}}', "as text"),
        (b'{"metadata": {"a": [{"$b": 1}]}}', "no $ at the start"),
        (b'{"metadata": {"a": [[{"$b": 1}]]}}', "no $ at the start"),
        (b'{"metadata": {"a": [[9223372036854775808]]}}', "as text"),
        (b'{"metadata": {"a": ' + DEEP + b"}}", "flatter"),
        (b"[" * 100_000, "no JSON"),
    ],
)
async def test_a_body_that_no_state_can_keep_is_refused(body, message):
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        answer = await http.post("/threads", content=body)
        assert answer.status_code == 422
        assert message in answer.json()["detail"]
        assert await it.client.threads.search() == []


@pytest.mark.parametrize("name", ["a%0d%0aset-cookie:%20x=1", "%00", "%E2%82%AC", "a%0a", "a" * 129])
async def test_a_thread_id_that_fits_no_header_is_refused(name):
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        answer = await http.post(f"/threads/{name}/runs", json=RUN)
        assert answer.status_code == 422
        assert "is not valid" in answer.json()["detail"]
        assert await it.client.threads.search() == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"input": {"messages": [{"role": "tool", "content": "x"}]}}, "takes messages"),
        ({"input": None, "command": {"update": {"messages": 7}}}, "takes messages"),
        ({"input": None, "command": {"goto": {"node": "answer"}}}, "command.goto"),
        ({"config": {"tags": 5}}, "config.tags"),
        ({"config": {"configurable": "x"}}, "config.configurable"),
        ({"config": {"recursion_limit": "x"}}, "config.recursion_limit"),
    ],
)
async def test_input_that_fits_no_channel_is_refused(more, message):
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        answer = await http.post("/threads/t/runs", json={**RUN, **more})
        assert answer.status_code == 422
        assert message in answer.json()["detail"]


async def test_a_run_is_of_the_thread_of_its_path_whatever_its_config_says():
    theirs = dict.fromkeys(("thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "__pregel_x"), 5)
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        answer = await http.post("/threads/t/runs/wait", json={**RUN, "config": {"configurable": theirs}})
        assert [message["content"] for message in answer.json()["messages"]] == ["hi", "You said: hi"]
        assert len((await http.post("/threads/t/history", json={})).json()) == 3


@pytest.mark.parametrize("name", ["$where", "a.b"])
async def test_a_history_is_filtered_by_names_that_metadata_can_have(name):
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        await http.post("/threads/t/runs/wait", json=RUN)
        answer = await http.post("/threads/t/history", json={"metadata": {name: 1}})
        assert answer.status_code == 422


async def test_nothing_is_redirected_to_the_host_that_a_request_names():
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        answer = await http.get("/info/", headers={"host": "evil.example"})
        assert answer.status_code == 404
        assert "location" not in answer.headers


@pytest.mark.parametrize("body", [b"content-length: 9\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n" + b"f" * 30])
async def test_a_body_that_is_cut_short_is_no_failure_of_the_server(body):
    async with running(SPEC) as it:
        url = httpx.URL(it.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"POST /threads HTTP/1.1\r\nhost: x\r\n" + body)
        writer.write_eof()
        await reader.read()
        writer.close()
        async with asyncio.timeout(10):
            while not (codes := _codes(it, "create_thread")):  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.01)
        assert codes == {"400"}


def _codes(it: RunningAgent, handler: str) -> set[str]:
    """The status codes of a handler's answers so far."""
    samples = [each for metric in it.agent.metrics.registry.collect() for each in metric.samples]
    ours = [each.labels for each in samples if each.name == "apm_agent_http_requests_total"]
    return {labels["code"] for labels in ours if labels["handler"] == handler}


async def test_numbers_of_thousands_of_digits_are_no_numbers():
    digits = "9" * 5000
    async with running(SPEC) as it, httpx.AsyncClient(base_url=it.url) as http:
        run = (await http.post("/threads/t/runs", json=RUN, headers={"apm-hops": digits})).raise_for_status().json()
        assert (await http.get(f"/threads/t/runs?limit={digits}")).status_code == 422
        path = f"/threads/t/runs/{run['run_id']}/stream"
        assert (await http.get(path, headers={"last-event-id": digits})).status_code == 200
