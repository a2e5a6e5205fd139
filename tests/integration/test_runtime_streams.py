"""Streams of runs that another process executes."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from fakes.replicas import Replica, replicas

MODES = ["updates", "custom"]


@pytest.mark.parametrize("resumable", [True, False])
async def test_a_joiner_at_another_pod_sees_events_as_they_come(mongodb_uri, database, tmp_path, resumable):
    async with replicas(tmp_path, mongodb_uri, database) as (first, second):
        other, thread, run = await _begin(first, second, pause=2.5, stream_resumable=resumable)
        seen = {}
        async for part in other.client.runs.join_stream(thread, run):
            seen.setdefault(_name(part), time.time())
        assert list(seen) == [
            "metadata",
            *(f"{kind} {name}" for name in STEPS for kind in ("custom", "updates")),
            "end",
        ]
        # A step tells that it begins 2.5 s before it ends; told at the end, both would come together.
        assert seen["updates three"] - seen["custom three"] > 0.5
        again = [_name(part) async for part in other.client.runs.join_stream(thread, run)]
        assert again == list(seen)


async def test_a_stream_goes_on_at_another_pod_where_it_was_cut(mongodb_uri, database, tmp_path):
    async with replicas(tmp_path, mongodb_uri, database) as (first, second):
        thread = (await first.client.threads.create())["thread_id"]
        given = {"done": [], "pause": 0.5}
        got: list[Any] = []
        stream = first.client.runs.stream(thread, "agent", input=given, stream_mode=MODES)
        async with aclosing(stream) as parts:
            async for part in parts:
                got.append(part)
                if _name(part) == "updates one":
                    break
        [run] = await second.client.runs.list(thread)
        rest = second.client.runs.join_stream(thread, run["run_id"], last_event_id=got[-1].id)
        got += [part async for part in rest]
        assert [_name(part) for part in got] == EXPECTED
        numbers = [int(part.id) for part in got]
        assert numbers == sorted(set(numbers))


async def test_a_stream_goes_on_when_its_pod_died(mongodb_uri, database, tmp_path):
    async with replicas(tmp_path, mongodb_uri, database, APM_LEASE_TIMEOUT_SECONDS="3") as (first, second):
        other, thread, run = await _begin(first, second, pause=1.0, stream_resumable=True)
        dying = second if other is first else first
        got: list[Any] = []
        async with asyncio.timeout(30):
            async for part in other.client.runs.join_stream(thread, run):
                got.append(part)
                if _name(part) == "updates one":
                    dying.kill()
        names = [_name(part) for part in got]
        # The step in which the pod died is begun anew, and the one before it is not.
        assert names.count("updates one") == 1
        assert names[-1] == "end"
        assert [name for name in names if name.startswith("updates")] == [f"updates {name}" for name in STEPS]
        numbers = [int(part.id) for part in got]
        assert numbers == sorted(set(numbers))
        assert numbers[-1] > 1_000_000_000


async def test_a_run_is_cancelled_when_who_joined_it_elsewhere_goes(mongodb_uri, database, tmp_path):
    async with replicas(tmp_path, mongodb_uri, database) as (first, second):
        other, thread, run = await _begin(first, second, pause=30.0)
        url = str(other.client.http.client.base_url)
        async with (
            httpx.AsyncClient(base_url=url, timeout=30) as http,
            http.stream("GET", f"/threads/{thread}/runs/{run}/stream?cancel_on_disconnect=true") as answer,
        ):
            await anext(answer.aiter_lines())
        async with asyncio.timeout(20):
            await other.client.runs.join(thread, run)
        assert (await other.client.runs.get(thread, run))["status"] == "interrupted"


STEPS = ("one", "two", "three")
EXPECTED = ["metadata", *(f"{kind} {name}" for name in STEPS for kind in ("custom", "updates")), "end"]


def _name(part: Any) -> str:
    if part.event == "custom":
        return f"custom {part.data['begins']}"
    return f"updates {next(iter(part.data))}" if part.event == "updates" else part.event


async def _begin(first: Replica, second: Replica, *, pause: float, **options: Any) -> tuple[Replica, str, str]:
    """A run that executes in one of them; gives the other one."""
    thread = (await first.client.threads.create())["thread_id"]
    run = await first.client.runs.create(
        thread, "agent", input={"done": [], "pause": pause}, stream_mode=MODES, **options
    )
    async with asyncio.timeout(10):
        while (await first.client.runs.get(thread, run["run_id"]))["status"] != "running":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        # It is noted before it is begun.
        while not any(running := [await _runs(it) for it in (first, second)]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert sorted(running) == [False, True]
    return (second if running[0] else first), thread, run["run_id"]


async def _runs(it: Replica) -> bool:
    """Whether it executes a run."""
    return "apm_agent_runs_running 1.0" in (await it.client.http.client.get("/metrics")).text
