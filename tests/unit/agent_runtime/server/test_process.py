"""The server process while nothing is to be done, and its end."""

from __future__ import annotations

import asyncio
import signal
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import uvicorn

from agent_runtime.server import process
from agent_runtime.server.process import DrainingServer
from bench.process import wakeups
from fakes.agents import config
from fakes.processes import start, wait_ready
from fakes.serving import free_port

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_MOST = 10.0
"""Wake-ups per second of a pod that has nothing to do."""


def server(*, draining: bool) -> DrainingServer:
    agent: Any = SimpleNamespace(draining=draining, settings=SimpleNamespace(drain_delay=0.0), drain=lambda: None)
    made = DrainingServer(uvicorn.Config("none:app", log_config=None), agent)
    made._loop = asyncio.get_running_loop()
    return made


async def test_it_ends_at_once_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "_TICK", 60.0)
    for number, draining in ((signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, False)):
        it = server(draining=draining)
        serving = asyncio.create_task(it.main_loop())
        await asyncio.sleep(0)
        assert not serving.done()
        it.handle_exit(number, None)
        async with asyncio.timeout(5):
            await serving


async def test_its_answers_tell_the_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "_TICK", 0.01)
    it = server(draining=False)
    serving = asyncio.create_task(it.main_loop())
    for moment, told in ((0.0, b"Thu, 01 Jan 1970 00:00:00 GMT"), (60.0, b"Thu, 01 Jan 1970 00:01:00 GMT")):
        monkeypatch.setattr(uvicorn.server.time, "time", lambda moment=moment: moment)
        async with asyncio.timeout(5):
            while (b"date", told) not in it.server_state.default_headers:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    it.handle_exit(signal.SIGINT, None)
    await serving


def test_an_idle_pod_sleeps(tmp_path: Path):
    listener, port = free_port()
    listener.close()
    text = config({"graph": "fakes.steps:graph"}).model_dump_json(by_alias=True, exclude_none=True)
    with start(tmp_path, text, port) as pod:
        try:
            wait_ready(f"http://127.0.0.1:{port}", pod)
            time.sleep(1)  # what the start leaves to do
            before, begun = wakeups(pod.pid), time.monotonic()
            time.sleep(3)
            rate = (wakeups(pod.pid) - before) / (time.monotonic() - begun)
        finally:
            pod.kill()
            pod.communicate(timeout=10)
    assert rate <= _MOST
