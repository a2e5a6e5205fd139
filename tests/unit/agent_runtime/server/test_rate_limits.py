"""Limits as clients meet them."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from fakes.agents import CHAT, ECHO, person, running

TURN = {"assistant_id": "agent", "input": person("hi")}


def spec(workflow: dict[str, Any] = CHAT, **limits: Any) -> dict[str, Any]:
    return {"models": [ECHO], "workflow": workflow, "rateLimits": limits}


async def turn(http: httpx.AsyncClient, url: str, **more: Any) -> httpx.Response:
    return await http.post(f"{url}/runs/wait", json=TURN, **more)


async def test_answers_say_what_is_left_and_the_one_too_many_is_refused():
    async with running(spec(requestsPerMinute=2)) as it, httpx.AsyncClient() as http:
        answers = [await turn(http, it.url) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["ratelimit"] == '"account-minute";r=1;t=60'
        assert '"account-hour";q=1000;w=3600' in answers[0].headers["ratelimit-policy"]
        refused = answers[2]
        assert refused.headers["ratelimit"].startswith('"account-minute";r=0;t=')
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["content-type"] == "application/problem+json"
        assert "2 requests per minute and account are allowed" in refused.json()["detail"]
        read = await http.post(f"{it.url}/threads/search", json={})
        assert read.status_code == 200, "only runs are counted"
        assert "ratelimit" not in read.headers
        assert 'result="refused",window="account-minute"} 1.0' in (await http.get(f"{it.url}/metrics")).text


async def test_a_refused_run_leaves_no_thread():
    async with running(spec(requestsPerMinute=1)) as it, httpx.AsyncClient() as http:
        threads = [str(uuid4()) for _ in range(3)]
        body = {**TURN, "if_not_exists": "create"}
        codes = [(await http.post(f"{it.url}/threads/{one}/runs", json=body)).status_code for one in threads]
        assert codes == [200, 429, 429]
        assert (await http.get(f"{it.url}/threads/{threads[1]}")).status_code == 404


async def test_a_request_that_is_sent_again_after_its_run_was_removed_counts_again():
    async with running(spec(requestsPerMinute=3)) as it, httpx.AsyncClient() as http:
        thread = (await it.client.threads.create())["thread_id"]
        url, key = f"{it.url}/threads/{thread}/runs/wait", {"idempotency-key": "k1"}
        codes = []
        for _ in range(5):
            answer = await http.post(url, json=TURN, headers=key)
            codes.append(answer.status_code)
            if answer.status_code == 200:
                assert (await http.delete(it.url + answer.headers["content-location"])).status_code == 204
        assert codes == [200, 200, 200, 429, 429]


async def test_a_request_that_is_sent_again_counts_once():
    async with running(spec(requestsPerMinute=2)) as it, httpx.AsyncClient() as http:
        thread = (await it.client.threads.create())["thread_id"]
        url, key = f"{it.url}/threads/{thread}/runs/wait", {"idempotency-key": "k1"}
        together = await asyncio.gather(*(http.post(url, json=TURN, headers=key) for _ in range(4)))
        later = [await http.post(url, json=TURN, headers=key) for _ in range(4)]
        assert {answer.status_code for answer in (*together, *later)} == {200}
        assert (await turn(http, it.url)).status_code == 200
        assert (await turn(http, it.url)).status_code == 429


async def test_steps_to_other_agents_have_limits_of_their_own():
    asks = {"start": "ask", "nodes": [{"name": "ask", "uses": "agent", "with": {"ref": "kitchen"}}]}
    async with running({"models": [ECHO], "workflow": CHAT}, name="kitchen") as kitchen:
        peers = {"kitchen": kitchen.url}
        limited = spec(asks, perAgent={"burst": 10, "requestsPerMinute": 2})
        async with running(limited, peers=peers) as it, httpx.AsyncClient(timeout=20) as http:
            answers = [(await turn(http, it.url)) for _ in range(2)]
            assert [answer.json()["messages"][-1]["content"] for answer in answers] == ["You said: hi"] * 2
            metrics = (await http.get(f"{it.url}/metrics")).text
    assert 'place="acceptance",result="allowed",window=""} 2.0' in metrics
    assert 'place="routing",result="allowed",window=""} 2.0' in metrics


@pytest.mark.parametrize("fallback", [False, True], ids=["refused", "with a way around"])
async def test_a_workflow_that_goes_too_often_to_an_agent_fails_or_goes_around(fallback):
    ask = {"name": "ask", "uses": "agent", "with": {"ref": "kitchen", "input": "'hi'"}, "next": "again"}
    again = {**ask, "name": "again", "next": "end", **({"onError": "sorry"} if fallback else {})}
    sorry = {"name": "sorry", "uses": "model", "with": {"input": "'sorry'"}}
    flow = {"start": "ask", "nodes": [ask, again, *([sorry] if fallback else [])]}
    async with (
        running({"models": [ECHO], "workflow": CHAT}, name="kitchen") as kitchen,
        running(spec(flow, requestsPerMinute=1), peers={"kitchen": kitchen.url}) as it,
        httpx.AsyncClient(timeout=20) as http,
    ):
        values = (await turn(http, it.url)).json()
    if fallback:
        assert values["messages"][-1]["content"] == "You said: sorry"
    else:
        assert values["__error__"]["error"] == "RateLimit"
        assert "kitchen is not asked now: 1 requests per minute" in values["__error__"]["message"]


async def test_a_hand_over_is_counted():
    model = {
        "name": "default",
        "provider": "scripted",
        "script": [{"when": "prompt == 'triage'", "toolCalls": [{"name": "transfer_to_answer"}]}, {"reply": "done"}],
    }
    triage = {"name": "triage", "uses": "model", "with": {"prompt": "triage"}, "next": {"handoff": ["answer"]}}
    triage["next"]["else"] = "end"
    flow = {"start": "triage", "nodes": [triage, {"name": "answer", "uses": "model"}]}
    async with running({**spec(flow), "models": [model]}) as it, httpx.AsyncClient() as http:
        assert (await turn(http, it.url)).json()["messages"][-1]["content"] == "done"
        metrics = (await http.get(f"{it.url}/metrics")).text
    assert 'place="routing",result="allowed",window=""} 1.0' in metrics


async def by_a2a(http: httpx.AsyncClient, url: str) -> httpx.Response:
    told = {"messageId": str(uuid4()), "role": "ROLE_USER", "parts": [{"text": "hi"}]}
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": told}}
    return await http.post(f"{url}/a2a", json=body, headers={"a2a-version": "1.0"})


async def by_chat(http: httpx.AsyncClient, url: str) -> httpx.Response:
    body = {"model": "tested", "messages": [{"role": "user", "content": "hi"}]}
    return await http.post(f"{url}/v1/chat/completions", json=body)


async def by_batch(http: httpx.AsyncClient, url: str) -> httpx.Response:
    return await http.post(f"{url}/runs/batch", json=[TURN])


@pytest.mark.parametrize("ask", [turn, by_a2a, by_chat, by_batch])
async def test_every_way_in_is_counted_and_refused_alike(ask):
    async with running(spec(requestsPerMinute=2)) as it, httpx.AsyncClient(timeout=20) as http:
        answers = [await ask(http, it.url) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[1].headers["ratelimit"].startswith('"account-minute";r=0;t=')
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert "ratelimit-policy" in answers[2].headers


async def test_a_call_by_mcp_is_counted_and_says_why_it_is_refused():
    whole = {**spec(requestsPerMinute=1), "serve": {"mcp": True}}
    async with (
        running(whole) as it,
        httpx2.AsyncClient(timeout=20) as http,
        Client(streamable_http_client(f"{it.url}/mcp", http_client=http)) as agent,
    ):
        answers = [await agent.call_tool("tested", {"message": "hi"}) for _ in range(2)]
    assert [answer.is_error or False for answer in answers] == [False, True]
    assert "1 requests per minute and account are allowed" in str(answers[1].content)
