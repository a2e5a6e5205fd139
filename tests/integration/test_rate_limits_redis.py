"""Limits that replicas share, on a real Redis."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from redis import Redis
from structlog.testing import capture_logs

from agent_runtime.errors import UnavailableError
from agent_runtime.resilience import RateLimitConfig, RateLimiter, redis_connection
from agent_runtime.resilience.redis_connection import RedisConnection
from agent_runtime.resilience.redis_windows import BlockingRedisWindows, RedisWindows
from agent_runtime.resilience.settings import from_environment
from agent_runtime.resilience.windows import Quota, Window
from agent_runtime.spec.redis import RedisSpec
from cluster import redisserver
from cluster.certificates import Authority
from fakes import takers
from fakes.agents import CHAT, ECHO, person, running
from fakes.takers import quota

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cluster.redisserver import RedisServer

TURN = {"assistant_id": "agent", "input": person("hi")}


def connection_to(server: RedisServer, secrets: Path = Path("/nonexistent"), **spec: Any) -> RedisConnection:
    where = RedisSpec.model_validate({"host": server.host, "port": server.port, **spec})
    return RedisConnection(where, secrets, lambda: server.password)


@asynccontextmanager
async def windows_of(server: RedisServer) -> AsyncIterator[RedisWindows]:
    connection = connection_to(server)
    yield RedisWindows(connection, "tests/one")
    await connection.close()


def test_processes_together_get_what_is_allowed_and_not_one_more(redis_server: RedisServer):
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(takers.take, redis_server.port, redis_server.password, 300, 20, 25) for _ in range(2)]
        allowed = [future.result(timeout=60) for future in futures]
    assert sum(allowed) == 300, allowed


async def test_a_window_moves(redis_server: RedisServer):
    async with windows_of(redis_server) as windows:
        one = quota("moving", 3, 3)
        began = time.monotonic()
        assert [(await windows.take([one])).allowed for _ in range(4)] == [True, True, True, False]
        refused = await windows.take([one])
        assert 0 < refused.retry_after <= 3
        await asyncio.sleep(refused.retry_after + 0.01)  # the answer is what is tried
        assert (await windows.take([one])).allowed
        assert time.monotonic() - began > 3


async def test_what_is_left_and_when_is_told(redis_server: RedisServer):
    both = Quota("account", "told", (Window("minute", 3, 60), Window("hour", 2, 3600)))
    async with windows_of(redis_server) as windows:
        first, second, third = [await windows.take([both]) for _ in range(3)]
    assert [result.remaining for result in (first, second, third)] == [1, 0, 0]
    assert [state.remaining for state in third.states] == [1, 0], "the refused one used up nothing"
    assert second.window == third.window == "account-hour"
    assert 3590 < third.retry_after <= 3600
    assert 50 < first.states[0].usage.reset <= 60


async def test_a_refused_request_uses_up_no_other_quota(redis_server: RedisServer):
    tight, wide = quota("tight", 1), quota("wide", 3)
    async with windows_of(redis_server) as windows:
        assert [(await windows.take([tight, wide])).allowed for _ in range(4)] == [True, False, False, False]
        assert [(await windows.take([wide])).allowed for _ in range(3)] == [True, True, False]


async def test_a_known_token_is_counted_once_by_all(redis_server: RedisServer):
    async with windows_of(redis_server) as windows:
        one = quota("tokens", 2)
        results = await asyncio.gather(*(windows.take([one], "same") for _ in range(10)))
        assert all(result.allowed for result in results)
        assert (await windows.take([one], "other")).allowed
        assert not (await windows.take([one], "third")).allowed
        assert (await windows.take([one], "same")).allowed
        await windows.forget("same")
        assert not (await windows.take([one], "same")).allowed


def test_code_that_blocks_counts_in_the_same_windows(redis_server: RedisServer):
    with Redis(port=redis_server.port, password=redis_server.password) as client:
        windows = BlockingRedisWindows(client, "tests/blocking")
        assert [windows.take([quota("blocking", 2)]).allowed for _ in range(3)] == [True, True, False]
        keys = client.keys("*")
        assert [key.startswith(b"apm:{tests/blocking}:limit:") for key in keys] == [True]
        assert 0 < client.ttl(keys[0]) <= 60


async def test_nothing_waits_for_a_redis_that_is_away(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(redis_connection, "_PAUSE", 0.3)
    async with windows_of(redis_server) as windows:
        one = quota("away", 100)
        assert (await windows.take([one])).allowed
        redis_server.stop()
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(UnavailableError):
                await windows.take([one])
        assert time.monotonic() - began < 5, "20 pauses take longer"
        redis_server.start()
        deadline = time.monotonic() + 10
        while True:
            try:
                assert (await windows.take([one])).allowed
            except UnavailableError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            else:
                break


def mounted(folder: Path, **files: str) -> Path:
    (folder / "redis").mkdir()
    for name, text in files.items():
        (folder / "redis" / name).write_text(text)
    return folder


def agent(server: RedisServer, limits: dict[str, Any], **redis: Any) -> dict[str, Any]:
    where = {"host": server.host, "port": server.port, "passwordSecretRef": {"name": "redis", "key": "password"}}
    return {"models": [ECHO], "workflow": CHAT, "rateLimits": limits, "redis": {**where, **redis}}


async def test_replicas_of_an_agent_count_together(redis_server: RedisServer, tmp_path: Path):
    spec, secrets = agent(redis_server, {"requestsPerMinute": 6}), mounted(tmp_path, password=redis_server.password)
    async with (
        running(spec, secrets=secrets) as one,
        running(spec, secrets=secrets) as two,
        httpx.AsyncClient(timeout=20) as http,
    ):
        answers = await asyncio.gather(
            *(http.post(f"{it.url}/runs/wait", json=TURN) for it in (one, two) for _ in range(6))
        )
        metrics = (await http.get(f"{one.url}/metrics")).text
    assert sorted(answer.status_code for answer in answers) == [200] * 6 + [429] * 6
    assert "apm_agent_redis_up 1.0" in metrics


@pytest.mark.parametrize(("says", "codes"), [("Allow", [200, 200, 429]), ("Refuse", [503, 503, 503])])
async def test_the_spec_says_what_happens_without_redis(
    redis_server: RedisServer, tmp_path: Path, says: str, codes: list[int]
):
    secrets = mounted(tmp_path, password=redis_server.password)
    limits = {"requestsPerMinute": 2, "onUnavailable": says}
    with capture_logs() as logs:
        async with running(agent(redis_server, limits), secrets=secrets) as it, httpx.AsyncClient(timeout=20) as http:
            redis_server.stop()
            answers = [await http.post(f"{it.url}/runs/wait", json=TURN) for _ in range(3)]
            metrics = (await http.get(f"{it.url}/metrics")).text
    assert [answer.status_code for answer in answers] == codes
    assert "apm_agent_redis_up 0.0" in metrics
    assert "apm_agent_rate_limit_checks_without_redis_total" in metrics
    assert [line["event"] for line in logs].count("Redis can't be used") == 1, "it is logged once"


async def test_a_redis_with_tls_is_known_by_its_authority(tmp_path: Path):
    certificates = tmp_path / "certificates"
    authority = Authority(certificates, "ca")
    authority.create()
    pair = authority.server("redis", ["127.0.0.1"])
    other = Authority(certificates, "other")
    other.create()
    files = {"authority": authority.pair.certificate, "certificate": pair.certificate, "key": pair.key}
    (tmp_path / "server").mkdir()
    with redisserver.running(tmp_path / "server", **files) as server:
        secrets = mounted(
            tmp_path,
            password=server.password,
            ca=authority.pair.certificate.read_text(),
            wrong=other.pair.certificate.read_text(),
        )
        for key, fits in {"ca": True, "wrong": False}.items():
            connection = connection_to(server, secrets, tls={"caSecretRef": {"name": "redis", "key": key}})
            windows = RedisWindows(connection, "tests/tls")
            if fits:
                assert (await windows.take([quota("tls", 1)])).allowed
            else:
                with pytest.raises(UnavailableError):
                    await windows.take([quota("tls", 1)])
            await connection.close()


async def test_a_wrong_password_is_told_without_showing_it(redis_server: RedisServer):
    where = RedisSpec(host=redis_server.host, port=redis_server.port)
    connection = RedisConnection(where, Path("/nonexistent"), lambda: "not-the-password")
    with pytest.raises(UnavailableError) as caught:
        await RedisWindows(connection, "tests/password").take([quota("password", 1)])
    assert "AuthenticationError" in str(caught.value)
    assert "not-the-password" not in str(caught.value)
    await connection.close()


def test_python_code_counts_where_the_environment_says(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REDIS_HOST", redis_server.host)
    monkeypatch.setenv("REDIS_PORT", str(redis_server.port))
    monkeypatch.setenv("REDIS_PASSWORD", redis_server.password)
    config = RateLimitConfig(requests_per_minute=3)
    replicas = [RateLimiter(config, from_environment()) for _ in range(2)]
    assert [it.check_account_limit("123").allowed for it in replicas * 2] == [True, True, True, False]
    redis_server.stop()
    assert all(it.check_account_limit("123").allowed for it in replicas), "each counts by itself meanwhile"


async def test_a_redis_that_hangs_holds_up_requests_for_a_second_at_most(redis_server: RedisServer, tmp_path: Path):
    spec, secrets = agent(redis_server, {}), mounted(tmp_path, password=redis_server.password)
    async with running(spec, secrets=secrets) as it, httpx.AsyncClient(timeout=20) as http:
        assert (await http.post(f"{it.url}/runs/wait", json=TURN)).status_code == 200
        os.kill(redis_server.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            answers = [await http.post(f"{it.url}/runs/wait", json=TURN) for _ in range(5)]
            took = time.monotonic() - began
        finally:
            os.kill(redis_server.pid, signal.SIGCONT)
    assert {answer.status_code for answer in answers} == {200}
    assert took < 5
