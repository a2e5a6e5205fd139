"""Tasks of agents whose state lies in MongoDB, and calls between them, while pods come and go."""

from __future__ import annotations

import asyncio
import os
import secrets as random
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from a2a.types.a2a_pb2 import CancelTaskRequest, GetTaskRequest, ListTasksRequest, SubscribeToTaskRequest
from pymongo import MongoClient

from fakes import a2a
from fakes.agents import RunningAgent, config, last_text, person, running
from fakes.processes import start, wait_ready
from fakes.serving import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from a2a.client import Client
    from a2a.types.a2a_pb2 import StreamResponse

READY = "[{'role': 'assistant', 'content': 'ready'}]"
STEPS = {
    "state": {"messages": {"type": "messages"}, "done": {"type": "array", "reduce": "append"}},
    "start": "one",
    "nodes": [
        {"name": "one", "uses": "model", "with": {"save": "done"}, "next": "two"},
        {"name": "two", "uses": "model", "with": {"save": "done"}, "next": "three"},
        {
            "name": "three",
            "uses": "set",
            "with": {"values": {"messages": READY}},
        },
    ],
}
STEP = {"name": "default", "provider": "scripted", "script": [{"reply": "step", "delay": "2s"}]}
ASK = {"start": "ask", "nodes": [{"name": "ask", "uses": "agent", "with": {"ref": "other"}}]}
KILLS = int(os.environ.get("APM_KILLS", "2"))
_CALLERS = 8
"""Fewer than an agent executes at a time, so that no call waits for others while pods end every few seconds."""
_DEADLINE = 40.0


def _state(database: str) -> dict[str, Any]:
    return {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}}


class _Pods:
    """Pods of the agent that is asked, one after the other at one port, as a Service shows them."""

    def __init__(self, folder: Path, database: str, mounted: Path) -> None:
        self._folder = folder
        self._environment = {
            "APM_SECRETS_DIR": str(mounted),
            "APM_LEASE_TIMEOUT_SECONDS": "3",
            "APM_DRAIN_TIMEOUT_SECONDS": "2",
        }
        spec = {"models": [STEP], "workflow": STEPS, "state": _state(database)}
        self._config = config(spec, name="other").model_dump_json(by_alias=True, exclude_none=True)
        listener, self._port = free_port()
        listener.close()
        self.url = f"http://127.0.0.1:{self._port}"

    @contextmanager
    def pod(self) -> Iterator[subprocess.Popen[str]]:
        with (
            (self._folder / "log").open("a") as log,
            start(self._folder, self._config, self._port, log=log, **self._environment) as process,
        ):
            try:
                wait_ready(self.url, process)
                yield process
            finally:
                process.kill()


async def _asked(database: str, uri: str) -> None:
    """Waits until the other agent is at work."""
    deadline = time.monotonic() + _DEADLINE
    with MongoClient[dict[str, Any]](uri) as client:
        while time.monotonic() < deadline:
            if client[database]["runs"].find_one({"agent": "tests/other", "status": "running"}):
                return
            await asyncio.sleep(0.05)
    pytest.fail("the other agent was not asked")


def _runs(database: str, uri: str) -> list[dict[str, Any]]:
    with MongoClient[dict[str, Any]](uri) as client:
        return list(client[database]["runs"].find({"agent": "tests/other"}))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "rolled out"])
async def test_a_call_goes_on_when_the_pod_that_is_asked_ends(end, database, mounted, mongodb_uri, tmp_path):
    pods = _Pods(tmp_path, database, mounted)
    asks = {"workflow": ASK, "state": _state(database)}
    async with running(asks, name="asks", secrets=mounted, peers={"other": pods.url}) as it:
        with pods.pod() as first:
            asked = asyncio.create_task(it.client.runs.wait(None, "agent", input=person("go")))
            await _asked(database, mongodb_uri)
            first.send_signal(end)
            await asyncio.to_thread(first.wait, _DEADLINE)
        with pods.pod():
            values = await asyncio.wait_for(asked, _DEADLINE)
            runs = _runs(database, mongodb_uri)
    assert last_text(values) == "ready"
    assert [(run["status"], run["attempt"]) for run in runs] == [("success", 2)], "it was done once"


async def test_calls_survive_the_end_of_pods_at_any_moment(database, mounted, mongodb_uri, tmp_path):
    pods = _Pods(tmp_path, database, mounted)
    asks, answers, over = {"workflow": ASK, "state": _state(database)}, [], asyncio.Event()
    async with running(asks, name="asks", secrets=mounted, peers={"other": pods.url}) as it:

        async def caller() -> None:
            while not over.is_set():
                answers.append(await it.client.runs.wait(None, "agent", input=person("go"), raise_error=False))

        calling = asyncio.gather(*(caller() for _ in range(_CALLERS)))
        for number in range(KILLS):
            with pods.pod() as pod:
                # The moment has no meaning: whichever it is, no call may be lost. Taking over takes a lease's length.
                await asyncio.wait({calling}, timeout=2 + 8 * random.randbelow(1000) / 1000)
                pod.send_signal([signal.SIGKILL, signal.SIGTERM][number % 2])
                await asyncio.to_thread(pod.wait, _DEADLINE)
        over.set()
        with pods.pod():
            await asyncio.wait_for(calling, _DEADLINE)
        runs = _runs(database, mongodb_uri)
    assert {answer.get("__error__", {}).get("message") or last_text(answer) for answer in answers} == {"ready"}
    assert [run["status"] for run in runs] == ["success"] * len(answers), "each was done once"
    assert max(run["attempt"] for run in runs) > 1, "no pod ended in the middle of a run"


async def test_a_call_is_taken_up_by_another_pod_of_the_caller(database, mounted, mongodb_uri, tmp_path):
    pods = _Pods(tmp_path, database, mounted)
    asks = {"workflow": ASK, "state": _state(database)}
    options: dict[str, Any] = {"name": "asks", "secrets": mounted, "peers": {"other": pods.url}, "lease_timeout": 3.0}
    with pods.pod():
        async with running(asks, **options) as second:
            async with running(asks, **options) as first:
                thread = (await first.client.threads.create())["thread_id"]
                run = await _begun(first, thread)
                await _asked(database, mongodb_uri)
            values = await asyncio.wait_for(second.client.runs.join(thread, run), _DEADLINE)
        runs = _runs(database, mongodb_uri)
    assert [message["content"] for message in values["messages"]] == ["go", "ready"]
    assert [(run["status"], run["attempt"]) for run in runs] == [("success", 1)], "it was not cancelled"


async def test_a_task_goes_on_in_any_pod(database, mounted):
    asks = {"graph": "fakes.asking:build", "state": _state(database)}
    options: dict[str, Any] = {"secrets": mounted, "lease_timeout": 3.0}
    async with (
        running(asks, **options) as one,
        running(asks, **options) as two,
        a2a.client(one.url, streaming=False) as first,
        a2a.client(two.url, streaming=False) as second,
    ):
        begin = a2a.message("Publish", context="c1")
        tasks = await asyncio.gather(a2a.sent(first, begin), a2a.sent(second, begin))
        assert len({task.id for task in tasks}) == 1, "the same message is taken once over all pods"
        task = await a2a.sent(second, a2a.message("Yes", task=tasks[0].id))
        assert task.status.state == a2a.INPUT_REQUIRED
        done = await a2a.sent(first, a2a.message("Bob", task=task.id))
        found = (await second.list_tasks(ListTasksRequest(include_artifacts=True))).tasks
        other = await a2a.sent(first, a2a.message("Delete", context="c1"))
        cancelled = await second.cancel_task(CancelTaskRequest(id=other.id))
        again = await first.get_task(GetTaskRequest(id=other.id))
    assert (done.status.state, a2a.texts(done)) == (a2a.COMPLETED, ["Yes, says Bob"])
    assert [(one.id, a2a.texts(one)) for one in found] == [(task.id, ["Yes, says Bob"])]
    assert cancelled.status.state == again.status.state == a2a.CANCELED


async def test_a_task_is_cancelled_from_any_pod(database, mounted):
    slow = {**STEP, "script": [{"reply": "late", "delay": "60s"}]}
    spec = {"models": [slow], "workflow": STEPS, "state": _state(database)}
    options: dict[str, Any] = {"secrets": mounted, "lease_timeout": 3.0}
    async with (
        running(spec, **options) as one,
        running(spec, **options) as two,
        a2a.client(one.url, streaming=False, polling=True) as first,
        a2a.client(two.url) as second,
    ):
        task = await a2a.sent(first, a2a.message("go", context="c1"))
        following = asyncio.create_task(_last(second, task.id))
        deadline = time.monotonic() + _DEADLINE
        while (await second.get_task(GetTaskRequest(id=task.id))).status.state != a2a.WORKING:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        holders = [agent for agent in (one, two) if agent.agent.runs.worker.job(task.id)]
        caller = second if holders == [one] else first
        await caller.cancel_task(CancelTaskRequest(id=task.id))
        last = await asyncio.wait_for(following, _DEADLINE)
    assert last.status_update.status.state == a2a.CANCELED


async def _last(client: Client, task: str) -> StreamResponse:
    return [one async for one in client.subscribe(SubscribeToTaskRequest(id=task))][-1]


async def _begun(agent: RunningAgent, thread: str) -> str:
    run = await agent.client.runs.create(thread, "agent", input=person("go"))
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline:
        if (await agent.client.runs.get(thread, run["run_id"]))["status"] == "running":
            return str(run["run_id"])
        await asyncio.sleep(0.05)
    pytest.fail("the run did not begin")
