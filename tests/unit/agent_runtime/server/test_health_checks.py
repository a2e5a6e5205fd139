"""What callers are told of the health of an agent and of what it depends on."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import pytest

from agent_runtime.errors import ConfigError, UnavailableError
from agent_runtime.health import get_health_checker
from fakes.agents import CHAT, ECHO, person, running
from fakes.authority import swap
from fakes.openai_server import Answer, Fault, openai_server

SPEC: dict[str, Any] = {"models": [ECHO], "workflow": CHAT}
PEER = {
    "state": {"messages": {"type": "messages"}},
    "start": "ask",
    "nodes": [{"name": "ask", "uses": "agent", "with": {"ref": "support-desk"}}],
}


def closed() -> str:
    """An address where nothing listens."""
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{it.getsockname()[1]}"


def model(url: str, **more: Any) -> dict[str, Any]:
    return {"name": "default", "provider": "openai", "model": "m", "baseURL": url, **more}


async def _ask(url: str, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.get(url + path, headers=headers)


def _parts(answer: httpx.Response) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in answer.json()["dependencies"]}


async def test_an_agent_that_is_well():
    async with running(SPEC) as it:
        for path in ("/health", "/health/", "/health/agents", "/health/agents/tested", "/health/orchestrator"):
            answer = await _ask(it.url, path)
            assert (answer.status_code, answer.json()["status"]) == (200, "healthy"), path
        found = _parts(await _ask(it.url, "/health/dependencies"))
        assert found.keys() == {"memory", "default"}
        assert found["memory"]["response_time_ms"] >= 0
        assert (await _ask(it.url, "/health/agents/other")).status_code == 404


async def test_a_sink_that_is_away_degrades_the_agent():
    sinks = [{"name": "ledger", "url": f"{closed()}/events", "breaker": {}}, {"name": "near", "agent": "support-desk"}]
    async with running(SPEC) as peer:
        spec, peers = {**SPEC, "events": {"sinks": sinks}}, {"support-desk": peer.url}
        async with running(spec, peers=peers) as it:
            answer = await _ask(it.url, "/health/dependencies")
    found = _parts(answer)
    assert answer.json()["status"] == "degraded"
    assert (found["ledger"]["kind"], found["ledger"]["status"], found["ledger"]["breaker"]) == (
        "sink",
        "unhealthy",
        "closed",
    )
    assert found["support-desk"]["status"] == "healthy"


async def test_a_model_that_is_away_degrades_the_agent():
    async with running({"models": [model(closed())], "workflow": CHAT}) as it:
        answer = await _ask(it.url, "/health/")
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        found = _parts(await _ask(it.url, "/health/dependencies"))["default"]
        assert found["status"] == "unhealthy"
        assert "127.0.0.1" not in answer.text
        assert (await _ask(it.url, "/health/orchestrator")).json()["status"] == "healthy"
        for probe in ("/livez", "/readyz"):
            assert (await _ask(it.url, probe)).status_code == 200, "what it depends on takes no pod out of service"


async def test_an_open_breaker_is_told_though_the_service_answers():
    breaker = {"failureThreshold": 1, "timeout": "1m"}
    async with openai_server([Fault(500), Answer("hello")]) as server:
        spec = {"models": [model(server.url, breaker=breaker, maxAttempts=1)], "workflow": CHAT}
        async with running(spec) as it:
            before = _parts(await _ask(it.url, "/health/dependencies"))["default"]
            assert before["breaker"] == "closed"
            await it.client.runs.wait(None, "agent", input=person("hello"), raise_error=False)
            it.agent.checks._looked = 0.0
            found = _parts(await _ask(it.url, "/health/dependencies"))["default"]
    assert (found["status"], found["breaker"]) == ("unhealthy", "open")


async def test_agents_that_it_asks():
    async with (
        running(SPEC, name="support-desk") as desk,
        running({"models": [ECHO], "workflow": PEER}, peers={"support-desk": desk.url}) as it,
    ):
        answer = await _ask(it.url, "/health/agents")
        assert {name: one["status"] for name, one in _parts(answer).items()} == {
            "tested": "healthy",
            "support-desk": "healthy",
        }
        desk.agent.draining = True
        it.agent.checks._looked = 0.0
        gone = await _ask(it.url, "/health/agents/support_desk")
        assert (gone.status_code, gone.json()["status"]) == (503, "unhealthy")
        assert (await _ask(it.url, "/health/agents")).json()["status"] == "degraded"
        own = await _ask(it.url, "/health/agents/tested")
        assert (own.json()["status"], _parts(own)["support-desk"]["status"]) == ("degraded", "unhealthy")


async def test_without_its_state_an_agent_is_unhealthy(tmp_path):
    (tmp_path / "mongo").mkdir()
    uri = closed().replace("http://", "mongodb://someone:very-secret-word@")
    (tmp_path / "mongo" / "uri").write_text(f"{uri}/?serverSelectionTimeoutMS=200")
    spec = {**SPEC, "state": {"mongodb": {"uriSecretRef": {"name": "mongo", "key": "uri"}, "database": "apm"}}}
    async with running(spec, secrets=tmp_path, ready=False) as it:
        for path in ("/health/", "/health/orchestrator", "/health/dependencies", "/health/agents/tested"):
            answer = await _ask(it.url, path)
            assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy"), path
            assert "very-secret-word" not in answer.text
            assert "someone" not in answer.text


async def test_who_brings_no_proof_is_told_nothing(tmp_path):
    swap(tmp_path / "keys", {"alice": "alices-very-secret-key"})
    spec = {**SPEC, "auth": {"apiKeys": {"secretRef": {"name": "callers"}}}}
    async with running(spec, api_keys_dir=tmp_path / "keys") as it:
        for path in ("/health", "/health/", "/health/agents", "/health/orchestrator", "/health/dependencies"):
            assert (await _ask(it.url, path)).status_code == 401
        assert (await _ask(it.url, "/health/", **{"x-api-key": "alices-very-secret-key"})).status_code == 200


async def test_many_who_ask_are_one_question():
    asked = 0

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with running({"models": [model(f"http://127.0.0.1:{port}")], "workflow": CHAT}) as it:
            answers = await asyncio.gather(*(_ask(it.url, "/health/") for _ in range(10)))
    assert {one.json()["status"] for one in answers} == {"healthy"}, "an answer of the service is one"
    assert asked == 1


async def test_from_python():
    with pytest.raises(ConfigError, match="no agent runs in this process"):
        get_health_checker()
    async with running(SPEC):
        result = await asyncio.to_thread(lambda: get_health_checker().check_agent("tested"))
        whole = await asyncio.to_thread(lambda: get_health_checker().check_overall())
        with pytest.raises(UnavailableError, match="await"):
            get_health_checker().check_agent("tested")
    assert result.status.value == whole.status.value == "healthy"
