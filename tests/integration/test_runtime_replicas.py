"""Two processes of an agent, one of which is hurt."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from fakes.replicas import Replica, replicas
from fakes.tool_server import tool_server

TAKEN_OVER = 15.0
"""Seconds within which a run goes on after its pod died; the runtime promises so."""


async def test_a_node_that_blocks_the_event_loop_loses_no_run(mongodb_uri, database, tmp_path):
    async with replicas(tmp_path, mongodb_uri, database, APM_LEASE_TIMEOUT_SECONDS="2") as (first, second):
        thread, run, file = await _begin(first, tmp_path, block=6.0)
        values = await second.client.runs.join(thread, run)
        assert values["done"] == ["one", "two", "three"]
        assert _told(file, "two begins") == [str(first.pid)]
        assert _told(file, "three ends") == [str(first.pid)]


async def test_the_run_of_a_killed_pod_goes_on_elsewhere_within_15_s(mongodb_uri, database, tmp_path):
    async with replicas(tmp_path, mongodb_uri, database) as (first, second):
        thread, run, file = await _begin(first, tmp_path, pause=1.0)
        await _until(lambda: _told(file, "two begins"))
        first.kill()
        killed = time.monotonic()
        await _until(lambda: _told(file, "two begins")[1:], TAKEN_OVER)
        assert time.monotonic() - killed < TAKEN_OVER
        values = await second.client.runs.join(thread, run)
    assert values["done"] == ["one", "two", "three"]
    assert len(_told(file, "one begins")) == 1


async def test_a_pod_that_was_frozen_past_its_lease_changes_nothing(mongodb_uri, database, tmp_path):
    async with replicas(tmp_path, mongodb_uri, database, APM_LEASE_TIMEOUT_SECONDS="2") as (first, second):
        thread, run, file = await _begin(first, tmp_path, pause=1.0)
        await _until(lambda: _told(file, "two begins"))
        first.freeze()
        values = await second.client.runs.join(thread, run)
        assert values["done"] == ["one", "two", "three"]
        before = await second.client.runs.get(thread, run)
        assert before["status"] == "success"
        state = await second.client.threads.get_state(thread)
        first.wake()
        await asyncio.sleep(2.5)  # more than what is left of the step that was frozen
        assert first.process.poll() is None
        assert await second.client.runs.get(thread, run) == before
        assert await second.client.threads.get_state(thread) == state
        # It works again.
        again = await first.client.runs.wait(None, "agent", input={"done": []})
        assert again["done"] == ["one", "two", "three"]


async def test_a_webhook_is_sent_although_the_pod_died(mongodb_uri, database, tmp_path):
    async with tool_server(*[503] * 3) as hooks:
        spec = {"graph": "fakes.steps:graph", "runs": {"webhooks": {"origins": [hooks.url]}}}
        async with replicas(tmp_path, mongodb_uri, database, spec=spec) as (first, second):
            thread, run, _ = await _begin(first, tmp_path, webhook=hooks.url)
            await second.client.runs.join(thread, run)
            await _until(lambda: hooks.calls)
            first.kill()
            await _until(lambda: len(hooks.calls) == 4, 75.0)
            assert {json.loads(call.body)["run_id"] for call in hooks.calls} == {run}


async def _begin(
    replica: Replica, folder: Path, *, webhook: str | None = None, **options: float
) -> tuple[str, str, Path]:
    """A run that the replica executes; where the other one was quicker to take it, another one."""
    for number in range(20):
        file = folder / f"told{number}"
        thread = (await replica.client.threads.create())["thread_id"]
        given = {"file": str(file), "done": [], **options}
        run = await replica.client.runs.create(thread, "agent", input=given, webhook=webhook)
        await _until(lambda file=file: _told(file, "one begins"))
        if _told(file, "one begins") == [str(replica.pid)]:
            return thread, run["run_id"], file
    raise AssertionError("the replica took no run of its own")


def _told(file: Path, what: str) -> list[str]:
    """The processes that did it."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.removeprefix(what).split()[0] for line in lines if line.startswith(what)]


async def _until(condition, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - polled with a deadline
            await asyncio.sleep(0.02)
