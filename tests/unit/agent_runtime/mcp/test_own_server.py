"""Agents as tools, driven by the official client over real HTTP."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import ClientSession, MCPError
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult
from starlette.applications import Starlette
from starlette.routing import Route

from agent_runtime.auth.principal import Principal
from agent_runtime.state.records import Run
from fakes.agents import CHAT, ECHO, running
from fakes.authority import swap
from fakes.serving import serving
from fakes.tool_server import tool_server

SERVE = {"serve": {"mcp": True}}
TALKS = {
    **SERVE,
    "description": "Repeats what it hears.",
    "models": [ECHO],
    "workflow": {"state": {"messages": {"type": "messages"}}, **CHAT},
}
ADDS = {
    **SERVE,
    "workflow": {
        "state": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}, "sum": {"type": "integer"}},
        "start": "add",
        "nodes": [{"name": "add", "uses": "set", "with": {"values": {"sum": "state.a + state.b"}}}],
    },
}
ASKS = {
    **SERVE,
    "workflow": {
        "state": {"what": {"type": "string"}, "answer": {"type": "object"}},
        "start": "gate",
        "nodes": [
            {
                "name": "gate",
                "uses": "approval",
                "with": {
                    "ask": "Publish {{ state.what }}?",
                    "schema": {"type": "object", "properties": {"note": {"type": "string"}}},
                    "routes": {"yes": "end", "no": "end"},
                    "save": "answer",
                },
            }
        ],
    },
}
NAMES = ("anna", "berta")
MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])


@asynccontextmanager
async def client(url: str, mode: str = "auto", headers: dict[str, str] | None = None, **options: Any):
    http = httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30)
    streams = streamable_http_client(f"{url}/mcp", http_client=http)
    async with http, Client(streams, mode=mode, cache=None, **options) as made:
        yield made


@MODES
async def test_an_agent_is_a_tool(mode):
    async with running(TALKS) as it, client(it.url, mode) as agent:
        (tool,) = (await agent.list_tools()).tools
        answer = await agent.call_tool("tested", {"message": "hello"})
        async with asyncio.timeout(10):
            while await it.client.threads.search():  # noqa: ASYNC110 - removed in the background
                await asyncio.sleep(0.01)
    assert (tool.name, tool.description) == ("tested", "Repeats what it hears.")
    assert tool.input_schema["required"] == ["message"]
    assert answer.content[0].text == "You said: hello"
    assert not answer.is_error


async def test_a_plain_session_over_streamable_http_is_served():
    async with (
        running(ADDS) as it,
        httpx2.AsyncClient(trust_env=False, timeout=30) as http,
        streamable_http_client(f"{it.url}/mcp", http_client=http) as streams,
        ClientSession(*streams[:2]) as session,
    ):
        begun = await session.initialize()
        (tool,) = (await session.list_tools()).tools
        answer = await session.call_tool(tool.name, {"a": 2, "b": 3})
    assert begun.server_info.name == tool.name
    assert answer.structured_content is not None
    assert answer.structured_content["sum"] == 5


@MODES
async def test_its_channels_are_the_arguments(mode):
    async with running(ADDS) as it, client(it.url, mode) as agent:
        (tool,) = (await agent.list_tools()).tools
        good = await agent.call_tool("tested", {"a": 2, "b": 3})
        bad = await agent.call_tool("tested", {"a": "two"})
        with pytest.raises(MCPError, match="there is no tool other"):
            await agent.call_tool("other", {})
    assert tool.input_schema["properties"].keys() == {"a", "b", "_thread"}
    assert tool.input_schema["required"] == ["a"]
    assert good.structured_content == {"a": 2, "b": 3, "sum": 5}
    assert bad.is_error
    assert "channel `a` is of type integer" in bad.content[0].text


async def test_a_conversation_goes_on_in_its_thread():
    async with running(TALKS) as it, client(it.url) as agent:
        for text in ("one", "two"):
            answer = await agent.call_tool("tested", {"message": text, "_thread": "t1"})
        state = await it.client.threads.get_state("t1")
    assert answer.content[0].text == "You said: two"
    assert answer.meta["apm.valeo-neuroerp.com/thread"] == "t1"
    assert len(state["values"]["messages"]) == 4


@MODES
async def test_what_the_agent_says_is_told_as_progress(mode):
    told = []

    async def hear(_: float, __: float | None, message: str | None) -> None:
        told.append(message)

    async with running(TALKS) as it, client(it.url, mode) as agent:
        await agent.call_tool("tested", {"message": "hello"}, progress_callback=hear)
    assert "".join(told) == "You said: hello"


@MODES
async def test_a_call_that_is_given_up_ends_its_run(mode):
    asked, over = asyncio.Event(), asyncio.Event()

    async def never(_: Any) -> None:
        asked.set()
        await over.wait()

    slow = Starlette(routes=[Route("/x", never, methods=["POST"])])
    async with serving(slow) as url, running(waits(f"{url}/x")) as it, client(it.url, mode) as agent:
        call = asyncio.create_task(agent.call_tool("tested", {"go": "now", "_thread": "t1"}))
        async with asyncio.timeout(10):
            await asked.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            while (await it.client.runs.list("t1"))[0]["status"] != "interrupted":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        over.set()


def waits(url: str) -> dict[str, Any]:
    return {
        **SERVE,
        "workflow": {
            "state": {"go": {"type": "string"}, "got": {"type": "any"}},
            "start": "call",
            "tools": [{"name": "t", "http": {"url": url}}],
            "nodes": [{"name": "call", "uses": "tool", "with": {"tool": "t", "save": "got"}}],
        },
    }


@MODES
async def test_an_open_question_tells_how_to_answer_it(mode):
    async with running(ASKS) as it, client(it.url, mode) as agent:
        names = [tool.name for tool in (await agent.list_tools()).tools]
        asked = await agent.call_tool("tested", {"what": "the news"})
        thread = asked.structured_content["thread"]
        wrong = await agent.call_tool("tested-answer", {"thread": thread, "answer": {"choice": "perhaps"}})
        done = await agent.call_tool("tested-answer", {"thread": thread, "answer": {"choice": "yes", "note": "ok"}})
        again = await agent.call_tool("tested-answer", {"thread": thread, "answer": "yes"})
    assert names == ["tested", "tested-answer"]
    assert not asked.is_error
    assert "Publish the news?" in asked.content[0].text
    assert f'call the tool tested-answer with {{"thread":"{thread}"' in asked.content[0].text
    assert asked.structured_content["questions"][0]["choices"] == ["yes", "no"]
    assert wrong.is_error
    assert done.structured_content["answer"] == {"choice": "yes", "note": "ok"}
    assert again.is_error


async def test_a_client_that_has_forms_answers_by_one():
    seen = []

    async def fill(_: Any, params: Any) -> ElicitResult:
        seen.append(params)
        return ElicitResult(action="accept", content={"choice": "no", "note": "not today"})

    async with running(ASKS) as it, client(it.url, elicitation_callback=fill) as agent:
        done = await agent.call_tool("tested", {"what": "the news"})
    assert seen[0].message == "Publish the news?"
    assert seen[0].requested_schema["properties"]["choice"] == {"type": "string", "enum": ["yes", "no"]}
    assert done.structured_content["answer"] == {"choice": "no", "note": "not today"}


async def test_a_form_that_is_declined_leaves_the_question_open():
    async def decline(_: Any, __: Any) -> ElicitResult:
        return ElicitResult(action="decline")

    async with running(ASKS) as it, client(it.url, elicitation_callback=decline) as agent:
        told = await agent.call_tool("tested", {"what": "the news"})
        async with httpx.AsyncClient() as http:
            open_now = (await http.get(f"{it.url}/approvals")).json()["approvals"]
    assert told.is_error
    assert "stays open" in told.content[0].text
    assert len(open_now) == 1


@MODES
async def test_a_call_with_the_same_key_joins_the_first(mode):
    key = {"apm.valeo-neuroerp.com/idempotencyKey": "k1"}
    async with tool_server() as tool, running(waits(f"{tool.url}/x")) as it, client(it.url, mode) as agent:
        first = await agent.call_tool("tested", {"go": "now"}, meta=key)
        async with client(it.url, mode) as other:
            second = await other.call_tool("tested", {"go": "now"}, meta=key)
            third = await other.call_tool("tested", {"go": "later"}, meta=key)
    run = "apm.valeo-neuroerp.com/run"
    assert first.meta[run] == second.meta[run] != third.meta[run]
    assert len(tool.calls) == 2


async def test_of_a_calls_id_a_digest_is_kept_which_is_each_callers_own(tmp_path):
    swap(tmp_path / "keys", {name: f"key-of-{name}-0123456789" for name in NAMES})
    asked, over = asyncio.Event(), asyncio.Event()

    async def never(_: Any) -> None:
        asked.set()
        await over.wait()

    slow = Starlette(routes=[Route("/x", never, methods=["POST"])])
    auth = {"auth": {"anonymous": False, "apiKeys": {"secretRef": {"name": "keys"}}}}
    odd = "\u2603|$.\0" * 20_000
    call = {"jsonrpc": "2.0", "id": odd, "method": "tools/call"}
    call["params"] = {"name": "tested", "arguments": {"go": "now", "_thread": "t1"}}
    given_up = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": odd}}
    async with (
        serving(slow) as url,
        running({**waits(f"{url}/x"), **auth}, api_keys_dir=tmp_path / "keys") as it,
        httpx.AsyncClient(base_url=it.url, timeout=30) as http,
    ):
        anna, berta = (
            {
                "x-api-key": f"key-of-{name}-0123456789",
                "mcp-session-id": "s" * 2000,
                "accept": "application/json, text/event-stream",
            }
            for name in NAMES
        )
        calls = [asyncio.create_task(http.post("/mcp", json=call, headers=each)) for each in (anna, berta)]
        store = it.agent.store

        async def runs() -> list[Run]:
            found = [await store.runs(Principal(name, "", "apiKey").key("t1"), None, 5, 0) for name in NAMES]
            return [run for each in found for run in each]

        async with asyncio.timeout(10):
            while len([run for run in await runs() if run.status == "running"]) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            marks = [run.metadata["apm_mcp"] for run in await runs()]
            await http.post("/mcp", json=given_up, headers=berta)
            while [run.status for run in await runs()] != ["running", "interrupted"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        over.set()
        await asyncio.gather(*calls)
    assert [len(mark) for mark in marks] == [64, 64]
    assert marks[0] != marks[1]


@MODES
async def test_callers_are_kept_apart(mode, tmp_path):
    swap(tmp_path / "keys", {name: f"key-of-{name}-0123456789" for name in NAMES})
    spec = {**ASKS, "auth": {"anonymous": False, "apiKeys": {"secretRef": {"name": "keys"}}}}
    async with running(spec, api_keys_dir=tmp_path / "keys") as it:
        anna, berta = ({"x-api-key": f"key-of-{name}-0123456789"} for name in NAMES)
        async with client(it.url, mode, anna) as first, client(it.url, mode, berta) as second:
            asked = await first.call_tool("tested", {"what": "it", "_thread": "t1"})
            refused = await second.call_tool("tested-answer", {"thread": "t1", "answer": "yes"})
        async with httpx.AsyncClient() as http:
            assert (await http.post(f"{it.url}/mcp", json={})).status_code == 401
    assert asked.structured_content["thread"] == "t1"
    assert "there is no conversation t1" in refused.content[0].text


async def test_pages_of_other_sites_are_refused_and_nothing_is_served_unasked():
    async with running(TALKS) as it, httpx.AsyncClient() as http:
        foreign = await http.post(f"{it.url}/mcp", json={}, headers={"origin": "http://evil.example"})
        got = await http.get(f"{it.url}/mcp")
    assert (foreign.status_code, got.status_code) == (403, 405)
    async with running({**TALKS, "serve": {"chatCompletions": False}}) as it, httpx.AsyncClient() as http:
        assert (await http.post(f"{it.url}/mcp", json={})).status_code == 404
        assert (await http.post(f"{it.url}/v1/chat/completions", json={})).status_code == 404
