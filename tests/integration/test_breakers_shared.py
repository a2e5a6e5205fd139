"""Breakers whose state replicas share, in a real Redis and a real MongoDB."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agent_runtime.resilience import breakers
from fakes.agents import person, running
from fakes.openai_server import Answer, Fault, openai_server

if TYPE_CHECKING:
    from cluster.redisserver import RedisServer

TURN = {"assistant_id": "agent", "input": person("hi")}
FLOW = {"start": "answer", "nodes": [{"name": "answer", "uses": "model"}]}
BREAKER = {"failureThreshold": 1, "timeout": "5s", "successThreshold": 1}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breakers wait for a store that a busy machine holds up: who gives up on it looks no more for seconds."""
    monkeypatch.setattr(breakers, "_PATIENCE", 10.0)


async def ask(http: httpx.AsyncClient, url: str) -> str:
    values = (await http.post(f"{url}/runs/wait", json=TURN)).json()
    return str(values["__error__"]["error"] if "__error__" in values else "ok")


async def open_and_close_together(spec: dict[str, Any], secrets: Path, metric: str = "") -> None:
    """One replica's breaker opens; the other one's follows, and so it is when one closes."""
    async with openai_server(Fault(503), Answer("well")) as server:
        model = {"name": "default", "model": "m", "baseURL": server.url, "maxAttempts": 1, "breaker": BREAKER}
        whole = {"models": [model], "workflow": FLOW, **spec}
        async with (
            running(whole, secrets=secrets) as one,
            running(whole, secrets=secrets) as two,
            httpx.AsyncClient(timeout=30) as http,
        ):
            began = time.monotonic()
            assert await ask(http, one.url) == "5xx"
            # The one without a failure of its own asks nobody, as soon as it has looked: once a second.
            for url in (two.url, one.url):
                while (found := await ask(http, url)) == "ok" and url == two.url:
                    assert time.monotonic() < began + 4.5, "it was not told before the breaker's timeout was over"
                assert found == "CircuitOpen"
            for url in (one.url, two.url):
                while await ask(http, url) != "ok":
                    assert time.monotonic() < began + 30
                    await asyncio.sleep(0.05)
            metrics = (await http.get(f"{two.url}/metrics")).text
            assert 'apm_agent_breaker_state{dependency="model default"} 0.0' in metrics
            assert metric in metrics


def redis_of(server: RedisServer, secrets: Path) -> dict[str, Any]:
    """`spec.redis` of a server, whose password is mounted."""
    (secrets / "redis").mkdir()
    (secrets / "redis/password").write_text(server.password)
    return {"host": server.host, "port": server.port, "passwordSecretRef": {"name": "redis", "key": "password"}}


@pytest.mark.usefixtures("patient")
async def test_by_redis(redis_server: RedisServer, tmp_path: Path):
    spec = {"redis": redis_of(redis_server, tmp_path)}
    await open_and_close_together(spec, tmp_path, "apm_agent_redis_up 1.0")


@pytest.mark.usefixtures("patient")
async def test_by_mongodb(mongodb_uri: str, database: str, tmp_path: Path):
    (tmp_path / "apm-mongodb").mkdir()
    (tmp_path / "apm-mongodb/uri").write_text(mongodb_uri)
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    await open_and_close_together({"state": {"mongodb": mongodb}}, tmp_path)


async def count_together(spec: dict[str, Any], secrets: Path) -> None:
    """Failures of two replicas open both breakers; a success of one between them counts for both."""
    faults = [Fault(503)] * 2 + [Answer("well")] + [Fault(503)] * 4
    async with openai_server(*faults, Answer("well")) as server:
        breaker = {**BREAKER, "failureThreshold": 4, "timeout": "1m"}
        model = {"name": "default", "model": "m", "baseURL": server.url, "maxAttempts": 1, "breaker": breaker}
        whole = {"models": [model], "workflow": FLOW, **spec}
        async with (
            running(whole, secrets=secrets) as one,
            running(whole, secrets=secrets) as two,
            httpx.AsyncClient(timeout=30) as http,
        ):
            found = []
            for url in (one.url, two.url) * 4:
                found.append(await ask(http, url))
                # The others learn of it at their next look, a second after the last.
                await asyncio.sleep(1.05)
        assert found == ["5xx"] * 2 + ["ok"] + ["5xx"] * 4 + ["CircuitOpen"]
        assert len(server.requests) == 7


@pytest.mark.usefixtures("patient")
async def test_failures_are_counted_together_by_redis(redis_server: RedisServer, tmp_path: Path):
    await count_together({"redis": redis_of(redis_server, tmp_path)}, tmp_path)


@pytest.mark.usefixtures("patient")
async def test_failures_are_counted_together_by_mongodb(database: str, mounted: Path):
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    await count_together({"state": {"mongodb": mongodb}}, mounted)


@pytest.mark.timeout(60)
async def test_a_redis_that_is_away_holds_up_no_call(redis_server: RedisServer, tmp_path: Path):
    redis_server.stop()
    async with openai_server(Answer("well")) as server:
        model = {"name": "default", "model": "m", "baseURL": server.url, "breaker": BREAKER}
        spec = {"models": [model], "workflow": FLOW, "redis": {"host": redis_server.host, "port": redis_server.port}}
        async with running(spec, secrets=tmp_path) as it, httpx.AsyncClient(timeout=30) as http:
            began = time.monotonic()
            assert [await ask(http, it.url) for _ in range(10)] == ["ok"] * 10
            assert time.monotonic() - began < 5
