"""What agents depend on fails while clients make runs, or tells another time."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import subprocess
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from cluster import machine
from fakes.load import Load
from fakes.openai_server import Answer, Fault, openai_server
from fakes.proxy import proxy
from fakes.replicas import Replica, replicas

log = logging.getLogger(__name__)

AWAY = float(os.environ.get("APM_MONGODB_AWAY", "5"))
"""Seconds."""
MODEL_RUNS = int(os.environ.get("APM_MODEL_RUNS", "40"))
CLIENTS = 6
SEED = 20261121
RESUMED = 15.0
SKEW = 30
"""Seconds by which the clocks of two pods differ."""


async def test_all_runs_end_when_mongodb_was_away(mongodb_uri, database, tmp_path):
    chance = random.Random(SEED)  # noqa: S311 - the same moments each time
    (told := tmp_path / "told").mkdir()
    parts = urlsplit(mongodb_uri)
    async with proxy(parts.hostname or "", parts.port or 27017) as way:
        address = f"{parts.username}:{parts.password}@127.0.0.1:{way.port}"
        uri = urlunsplit(parts._replace(netloc=address if parts.username else f"127.0.0.1:{way.port}"))
        async with replicas(tmp_path, uri, database) as fleet:
            load = Load(fleet, chance, told)
            async with load.by(CLIENTS):
                await asyncio.sleep(2)
                before = len(load.accepted)
                await way.cut()
                cut = time.monotonic()
                await asyncio.sleep(AWAY)
                for replica in fleet:
                    assert await _status(replica, "/livez") == 200
                    assert await _status(replica, "/readyz") == 503
                way.mend()
                mended = time.monotonic()
                async with asyncio.timeout(30):
                    while len(load.accepted) <= before + CLIENTS:  # noqa: ASYNC110 - polled with a deadline
                        await asyncio.sleep(0.05)
            courses = await load.ended(120)
    assert [course for course in courses if course.repeated] == []
    left = [course.marks for course in courses if course.marks[0].moment < cut < course.marks[-1].moment]
    resumed = max(next(mark.moment for mark in one if mark.moment > cut) - mended for one in left)
    log.info("away %.0f s, %d runs, %d under way, resumed after %.1f s", AWAY, len(courses), len(left), resumed)
    assert resumed < RESUMED


async def _status(replica: Replica, path: str) -> int:
    client: httpx.AsyncClient = replica.client.http.client
    return (await client.get(path)).status_code


@pytest.mark.parametrize("skew", [SKEW, -SKEW], ids=["ahead", "behind"])
async def test_pods_whose_clocks_differ_execute_each_run_once(mongodb_uri, database, tmp_path, skew):
    chance = random.Random(SEED)  # noqa: S311 - the same moments each time
    (told := tmp_path / "told").mkdir()
    kills: list[float] = []
    async with replicas(tmp_path, mongodb_uri, database, own=[clock(skew)]) as fleet:
        assert abs(await _clock_of(fleet[0]) - skew) < SKEW / 2 > abs(await _clock_of(fleet[1]))
        load = Load(fleet, chance, told)
        async with load.by(CLIENTS):
            await asyncio.sleep(3)
            for dying in (0, 1):
                fleet[dying].kill()
                kills.append(time.monotonic())
                await fleet.start([dying])
                await asyncio.sleep(1)
        courses = await load.ended(120)
        # Who waits for 20 s does so at each pod, by whichever clock.
        for replica in fleet:
            for _ in range(CLIENTS):
                given = {"done": []}
                values = await replica.client.runs.wait(None, "agent", input=given, headers={"Apm-Timeout": "20"})
                assert values["done"] == ["one", "two", "three"]
    assert [course for course in courses if course.repeated] == []
    slowest = max(course.longest_gap(kills) for course in courses)
    log.info("%+d s, %d runs, resumed after %.1f s at most", skew, len(courses), slowest)
    assert slowest < RESUMED


def clock(skew: int) -> dict[str, str]:
    """The environment of a process whose clock is wrong by so many seconds."""
    machine.install_packages({"faketime": "faketime"})
    asked = ["faketime", "-f", f"{skew:+d}s", "printenv", "LD_PRELOAD"]
    library = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    return {"LD_PRELOAD": library, "FAKETIME": f"{skew:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


async def _clock_of(replica: Replica) -> float:
    """Seconds by which a process's clock goes before this one's, by the time that it notes."""
    noted = (await replica.client.threads.create())["created_at"]
    return (datetime.fromisoformat(str(noted)) - datetime.now(UTC)).total_seconds()


async def test_all_runs_end_well_although_three_of_ten_model_calls_fail(mongodb_uri, database, tmp_path):
    chance = random.Random(SEED)  # noqa: S311 - the same faults each time
    faults = [Fault(500), Fault(503), Fault.busy("0"), Answer("one two three four", cut=True)]
    answers = [chance.choice(faults) if chance.random() < 0.3 else Answer() for _ in range(MODEL_RUNS * 8)]
    async with openai_server(*answers) as models:
        # Of the 4 attempts of the default, all fail in one of 120 calls.
        model = {"name": "default", "model": "m", "baseURL": models.url, "maxAttempts": 10}
        model["breaker"] = {"failureThreshold": 5, "timeout": "1s"}
        # Five in a row do fail now and then; while the breaker is open, calls fail at once.
        retry = {"attempts": 10, "initial": "200ms", "max": "5s", "errors": ["TRANSIENT", "RATE_LIMIT", "TIMEOUT"]}
        nodes = [{"name": f"n{at}", "uses": "model", "next": f"n{at + 1}"} for at in range(3)]
        nodes[-1]["next"] = "end"
        spec = {"models": [model], "workflow": {"start": "n0", "nodes": nodes, "defaults": {"retry": retry}}}
        async with replicas(tmp_path, mongodb_uri, database, spec=spec) as fleet:
            numbers = iter(range(MODEL_RUNS))

            async def client() -> None:
                for number in numbers:
                    asked = {"messages": [{"role": "user", "content": f"say {number}"}]}
                    values = await fleet[number % 2].client.runs.wait(None, "agent", input=asked)
                    assert [message["type"] for message in values["messages"]] == ["human", "ai", "ai", "ai"]

            await asyncio.gather(*(client() for _ in range(CLIENTS)))
    failed = len(answers) - len(models.answers)
    log.info("%d runs, %d calls", MODEL_RUNS, len(models.requests))
    assert failed > 3 * MODEL_RUNS
