"""Events from one agent to another, over TLS and MongoDB, while pods come and go."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest
from pymongo import MongoClient

from fakes.agents import RunningAgent, config, running
from fakes.authority import Authority, client_context, pod
from fakes.events import eventually
from fakes.processes import start, wait_ready
from fakes.serving import free_port

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from fakes.authority import Mounts

STATE = {"order": {"type": "string"}, "noted": {"type": "string"}}
TELL = {
    "name": "tell",
    "uses": "emit",
    "with": {"type": "order.made", "subject": "state.order", "data": "{'order': state.order}"},
}
NOTE = {"name": "note", "uses": "set", "with": {"values": {"noted": "state.order"}}}
QUICK = {"maxAttempts": 1, "backoff": {"initial": "10ms"}}
_SECONDS = 30.0
_ORDERS, _BEFORE_THE_KILL = 30, 3


def desk(**sink: Any) -> dict[str, Any]:
    """Tells the agent `bar` of each order."""
    return {
        "workflow": {"state": STATE, "start": "tell", "nodes": [TELL]},
        "events": {"sinks": [{"name": "bar", "agent": "bar", **QUICK, **sink}], "attempts": 100},
    }


def bar(**events: Any) -> dict[str, Any]:
    """Begins a run for each order."""
    wanted = {"name": "orders", "type": "order.*", "start": {"input": {"order": "event.data.order"}}}
    return {
        "workflow": {"state": STATE, "start": "note", "nodes": [NOTE]},
        "events": {"subscribe": [wanted], **events},
    }


class Runs:
    """The runs of an agent in MongoDB."""

    def __init__(self, uri: str, database: str, agent: str) -> None:
        self._client = MongoClient[dict[str, Any]](uri)
        self._runs = self._client[database]["runs"]
        self._agent = f"tests/{agent}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def orders(self) -> list[str]:
        """What the runs that ended well were begun with."""
        found = self._runs.find({"agent": self._agent, "status": "success"})
        return sorted(json.loads(run["request"])["body"]["input"]["order"] for run in found)

    def owners(self) -> set[str]:
        return {run["owner"] for run in self._runs.find({"agent": self._agent})}

    async def become(self, *names: str) -> None:
        async def all_of_them() -> bool:
            return await asyncio.to_thread(self.orders) == sorted(names)

        await eventually(all_of_them, _SECONDS)


@dataclass(frozen=True)
class Place:
    """Where the agents of a test keep their state, and who signs their certificates."""

    folder: Path
    secrets: Path
    uri: str
    database: str
    authority: Authority

    @property
    def state(self) -> dict[str, Any]:
        """Of a spec."""
        return {
            "state": {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": self.database}}
        }

    def mounts(self, name: str, *callers: str) -> Mounts:
        """The certificate of an agent, and who may call it."""
        return pod(self.folder / name, self.authority, name, callers=callers)

    def runs(self) -> Runs:
        """Those of `bar`."""
        return Runs(self.uri, self.database, "bar")

    def http(self) -> httpx.AsyncClient:
        """A client that shows no certificate."""
        return httpx.AsyncClient(verify=client_context(self.authority, self.folder), timeout=_SECONDS)


@pytest.fixture
def place(tmp_path: Path, mounted: Path, mongodb_uri: str, database: str) -> Place:
    return Place(tmp_path, mounted, mongodb_uri, database, Authority())


@asynccontextmanager
async def telling(place: Place, url: str, **sink: Any) -> AsyncIterator[tuple[RunningAgent, httpx.AsyncClient]]:
    """The agent `desk`, whose sink is at `url`, and somebody who has it run."""
    spec = {**desk(**sink), **place.state, "auth": {"anonymous": True}}
    options: dict[str, Any] = {"secrets": place.secrets, "peers": {"bar": url}, "mounts": place.mounts("desk")}
    async with running(spec, name="desk", **options) as it, place.http() as http:
        yield it, http


async def order(it: RunningAgent, http: httpx.AsyncClient, *names: str) -> None:
    for name in names:
        body = {"assistant_id": "agent", "input": {"order": name}}
        answer = await http.post(f"{it.url}/runs/wait", json=body)
        assert answer.status_code == 200, answer.text


async def no_dead_letters(it: RunningAgent) -> bool:
    assert it.agent.events is not None
    return await it.agent.events.log.dead_letters() == []


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_a_run_of_one_agent_starts_a_run_of_another(mode: str, place: Place):
    spec = {**bar(), **place.state}
    async with (
        running(spec, name="bar", secrets=place.secrets, mounts=place.mounts("bar", "tests/desk")) as second,
        telling(place, second.url, mode=mode) as (first, http),
    ):
        await order(first, http, "one", "two")
        with place.runs() as runs:
            await runs.become("one", "two")
            assert runs.owners() == {"mtls|tests/desk"}, "it is known by its certificate"
        assert await no_dead_letters(first)


async def test_an_agent_gets_events_from_one_that_it_did_not_know_at_first(place: Place):
    spec, known = {**bar(), **place.state}, place.mounts("bar")
    async with (
        running(spec, name="bar", secrets=place.secrets, mounts=known) as second,
        telling(place, second.url) as (first, http),
    ):
        await order(first, http, "one")

        async def refused() -> bool:
            labels = {"consumer": "sink/bar", "outcome": "failed"}
            return bool(first.agent.metrics.registry.get_sample_value("apm_agent_events_delivered_total", labels))

        await eventually(refused, _SECONDS)
        known.allow(place.authority, callers=("tests/desk",))
        with place.runs() as runs:
            await runs.become("one")
        assert await no_dead_letters(first)


async def test_no_event_is_lost_or_comes_twice_where_the_receiving_pod_is_killed(place: Place):
    pods, names = _Pods(place, "bar", bar()), [str(number) for number in range(_ORDERS)]
    async with telling(place, pods.url) as (first, http):
        with place.runs() as runs, pods.pod() as receiving:
            ordering = asyncio.create_task(order(first, http, *names))
            await _some(runs)
            receiving.send_signal(signal.SIGKILL)
        await ordering
        with place.runs() as runs, pods.pod():
            await runs.become(*names)
        assert await no_dead_letters(first)


async def test_no_event_is_lost_or_comes_twice_where_the_pushing_pod_is_killed(place: Place):
    spec = {**bar(), **place.state, "auth": {"anonymous": True}}
    names = [str(number) for number in range(_ORDERS)]
    async with running(spec, name="bar", secrets=place.secrets) as second, httpx.AsyncClient(timeout=_SECONDS) as http:
        pods = _Pods(place, "desk", desk(), peers={"bar": second.url})
        with place.runs() as runs:
            with pods.pod() as pushing:
                for name in names:
                    body = {"assistant_id": "agent", "input": {"order": name}}
                    assert (await http.post(f"{pods.url}/runs", json=body)).status_code == 200
                await _some(runs)
                pushing.send_signal(signal.SIGKILL)
            with pods.pod():
                await runs.become(*names)


async def _some(runs: Runs) -> None:
    async def look() -> bool:
        return len(await asyncio.to_thread(runs.orders)) >= _BEFORE_THE_KILL

    await eventually(look, _SECONDS)


class _Pods:
    """Pods of an agent, one after the other at one port, as a Service shows them."""

    def __init__(self, place: Place, name: str, spec: dict[str, Any], **more: Any) -> None:
        listener, self._port = free_port()
        listener.close()
        self.url = f"http://127.0.0.1:{self._port}"
        self._place = place
        self._config = config({**spec, **place.state}, name=name, **more)

    @contextmanager
    def pod(self) -> Iterator[subprocess.Popen[str]]:
        text = self._config.model_dump_json(by_alias=True, exclude_none=True)
        environment = {"APM_SECRETS_DIR": str(self._place.secrets), "APM_LEASE_TIMEOUT_SECONDS": "3"}
        with start(self._place.folder, text, self._port, **environment) as process:
            try:
                wait_ready(self.url, process)
                yield process
            finally:
                process.kill()
