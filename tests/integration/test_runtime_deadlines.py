"""Interrupts that nobody answers, over the pods of an agent whose state lies in MongoDB."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from agent_runtime.state.records import now
from fakes.agents import RunningAgent, running

ASKED: dict[str, Any] = {"input": {"messages": []}, "if_not_exists": "create"}
_DEADLINE = 20.0


@pytest.fixture
def patient(database) -> dict[str, Any]:
    """The spec of an agent that waits for half a second."""
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    return {"graph": "fakes.asking:patient", "state": {"mongodb": mongodb}}


async def went_on(it: RunningAgent, thread: str) -> list[Any]:
    """The thread's runs once one has gone on behind the interrupt, and ended."""
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline:
        runs = await it.client.runs.list(thread)
        if any(run["status"] == "success" for run in runs):
            return list(runs)
        await asyncio.sleep(0.05)
    raise AssertionError(f"thread {thread} did not go on")


async def test_of_three_pods_one_goes_on_with_each(patient, mounted):
    async with (
        running(patient, secrets=mounted) as first,
        running(patient, secrets=mounted) as second,
        running(patient, secrets=mounted) as third,
    ):
        pods = (first, second, third)
        threads = [f"t{number}" for number in range(12)]
        asked = (pods[n % 3].client.runs.wait(thread, "agent", **ASKED) for n, thread in enumerate(threads))
        await asyncio.gather(*asked)
        for thread in threads:
            runs = await went_on(first, thread)
            assert sorted(run["status"] for run in runs) == ["interrupted", "success"]
        await asyncio.sleep(1)
        assert [len(await second.client.runs.list(thread)) for thread in threads] == [2] * len(threads)


async def test_another_pod_ends_what_the_one_that_noted_or_claimed_it_left(patient, mounted):
    calm = {**patient, "graph": "fakes.asking:calm"}
    async with running(calm, secrets=mounted) as first:
        for thread in ("noted", "claimed"):
            waiting = await first.client.runs.wait(thread, "agent", **ASKED)
        (asked,) = waiting["__interrupt__"]
        kept = await first.agent.store.interrupt("claimed", asked["id"])
        assert kept is not None
        await first.agent.store.note_interrupts([replace(kept, due=now() + timedelta(seconds=6))])
    async with running(calm, secrets=mounted) as second:
        assert len(await went_on(second, "noted")) == 2
        assert len(await went_on(second, "claimed")) == 2


async def test_what_an_older_release_left_waiting_is_noted(patient, mounted, mongodb_uri, database):
    spec = {**patient, "graph": "fakes.asking:approval"}
    async with running(spec, secrets=mounted) as first:
        waiting = await first.client.runs.wait("t1", "agent", **ASKED)
    with MongoClient(mongodb_uri) as client:
        client[database]["interrupts"].delete_many({})
        client[database]["threads"].update_many({}, {"$unset": {"asked": ""}})
    async with running(spec, secrets=mounted) as second, asyncio.timeout(_DEADLINE):
        while await second.agent.store.interrupt("t1", waiting["__interrupt__"][0]["id"]) is None:  # noqa: ASYNC110 - polled with a deadline
            await asyncio.sleep(0.05)
