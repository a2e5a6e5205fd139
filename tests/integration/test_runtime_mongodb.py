"""An agent whose state lies in MongoDB, driven by langgraph-sdk."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from agent_runtime import assembly
from fakes.agents import CHAT, ECHO, RunningAgent, person, running
from fakes.authority import Authority, swap
from fakes.nested_cases import CASES as NESTED
from fakes.nested_cases import GRAPH
from fakes.proxy import proxy
from fakes.thread_sets import CASES

SLOW_STEPS = {
    "state": {"messages": {"type": "messages"}, "done": {"type": "array", "reduce": "append"}},
    "start": "one",
    "nodes": [
        {"name": "one", "uses": "model", "with": {"save": "done"}, "next": "two"},
        {"name": "two", "uses": "model", "with": {"save": "done"}, "next": "three"},
        {"name": "three", "uses": "model", "with": {"save": "done"}, "next": "end"},
    ],
}
SLOW = {"name": "default", "provider": "scripted", "script": [{"reply": "step", "delay": "1s"}]}


def _spec(database: str, *, tls: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database, "tls": tls}
    return {"models": [ECHO], "workflow": CHAT, "state": {"mongodb": mongodb}, **parts}


@asynccontextmanager
async def _agent(spec: dict[str, Any], mounted: Path, **options: Any) -> AsyncIterator[RunningAgent]:
    async with running(spec, secrets=mounted, lease_timeout=3.0, **options) as it:
        yield it


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_whole_threads(case, database, mounted):
    async with _agent(_spec(database), mounted) as it:
        await case(it.client)


@pytest.mark.parametrize("case", NESTED, ids=lambda case: case.__name__)
async def test_graphs_within_graphs(case, database, mounted):
    spec = {"graph": GRAPH, "state": _spec(database)["state"]}
    async with _agent(spec, mounted) as it:
        await case(it.client)


async def test_a_conversation_goes_on_in_another_pod(database, mounted):
    spec = _spec(database)
    async with _agent(spec, mounted) as first:
        thread = (await first.client.threads.create(metadata={"customer": "c1"}))["thread_id"]
        await first.client.runs.wait(thread, "agent", input=person("one"))
    async with _agent(spec, mounted) as second:
        values = await second.client.runs.wait(thread, "agent", input=person("two"))
        assert [m["content"] for m in values["messages"]] == ["one", "You said: one", "two", "You said: two"]
        found = await second.client.threads.search(metadata={"customer": "c1"})
        assert [one["thread_id"] for one in found] == [thread]
        assert len(await second.client.threads.get_history(thread)) == 6
        assert len(await second.client.runs.list(thread)) == 2
        await second.client.threads.delete(thread)
        assert await second.client.threads.search() == []


async def test_agents_that_share_a_database_do_not_see_each_other(database, mounted):
    spec = _spec(database)
    async with _agent(spec, mounted, name="one") as one, _agent(spec, mounted, name="two") as two:
        thread = (await one.client.threads.create())["thread_id"]
        await one.client.runs.wait(thread, "agent", input=person("secret"))
        assert await two.client.threads.search() == []
        await two.client.threads.create(thread_id=thread)
        values = await two.client.runs.wait(thread, "agent", input=person("hello"))
        assert len(values["messages"]) == 2


async def test_a_drained_pod_hands_its_run_to_another_one(database, mounted):
    spec = _spec(database, models=[SLOW], workflow=SLOW_STEPS)
    async with _agent(spec, mounted) as first:
        thread = (await first.client.threads.create())["thread_id"]
        run = await first.client.runs.create(thread, "agent", input=person("go"))
        await _until_running(first, thread, run["run_id"])
        # Had it been there before, the run might have been its own.
        async with _agent(spec, mounted) as second:
            first.agent.drain()
            values = await first.client.runs.join(thread, run["run_id"])
            assert values["done"] == ["step", "step", "step"]
            attempts = await second.agent.store.run(thread, run["run_id"])
            assert attempts is not None
            assert attempts.attempt == 2


async def test_the_run_of_a_dead_pod_is_taken_over(database, mounted):
    spec = _spec(database, models=[SLOW], workflow=SLOW_STEPS)
    async with _agent(spec, mounted) as first:
        thread = (await first.client.threads.create())["thread_id"]
        run = await first.client.runs.create(thread, "agent", input=person("go"))
        await _until_running(first, thread, run["run_id"])
        async with _agent(spec, mounted) as second:
            _kill(first)
            async with asyncio.timeout(30):
                values = await second.client.runs.join(thread, run["run_id"])
            assert values["done"] == ["step", "step", "step"]
            assert (await second.client.runs.get(thread, run["run_id"]))["status"] == "success"
            assert (await second.client.threads.get_state(thread))["next"] == []


async def test_two_pods_run_a_thread_one_run_at_a_time(database, mounted):
    spec = _spec(database)
    async with _agent(spec, mounted) as first, _agent(spec, mounted) as second:
        thread = (await first.client.threads.create())["thread_id"]
        both = (first, second)
        waits = [both[number % 2].client.runs.wait(thread, "agent", input=person(str(number))) for number in range(10)]
        await asyncio.gather(*waits)
        values = (await first.client.threads.get_state(thread))["values"]
    said = [message["content"] for message in values["messages"]]
    assert len(said) == 20
    # Each question is followed by its own answer: no run began before the one before it had ended.
    assert all(answer == f"You said: {question}" for question, answer in zip(said[::2], said[1::2], strict=True))


async def test_old_threads_are_removed(database, mounted):
    spec = _spec(database)
    spec["state"]["ttl"] = "1ms"
    async with _agent(spec, mounted) as it:
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(thread, "agent", input=person("one"))
        await assembly.sweeper(it.agent.config, it.agent.store, it.agent.runs.worker).sweep()
        assert await it.client.threads.search() == []
        assert await it.agent.store.runs(thread, None, 10, 0) == []


async def test_a_run_goes_on_when_mongodb_was_away(database, mongodb_uri, tmp_path):
    parts = urlsplit(mongodb_uri)
    async with proxy(parts.hostname or "", parts.port or 27017) as way:
        (tmp_path / "apm-mongodb").mkdir()
        address = f"{parts.username}:{parts.password}@127.0.0.1:{way.port}"
        uri = parts._replace(netloc=address if parts.username else f"127.0.0.1:{way.port}")
        (tmp_path / "apm-mongodb" / "uri").write_text(urlunsplit(uri))
        async with _agent(_spec(database, models=[SLOW], workflow=SLOW_STEPS), tmp_path) as it:
            thread = (await it.client.threads.create())["thread_id"]
            run = await it.client.runs.create(thread, "agent", input=person("go"))
            await _until_running(it, thread, run["run_id"])
            http = it.client.http.client
            async with http.stream("GET", f"/threads/{thread}/runs/{run['run_id']}/join", timeout=60) as waiting:
                await way.cut()
                async with asyncio.timeout(20):
                    while it.agent.link.problem is None:  # noqa: ASYNC110 - polled with a deadline
                        await asyncio.sleep(0.05)
                assert (await http.get("/livez")).status_code == 200
                assert (await http.get("/readyz")).status_code == 503
                assert (await http.get(f"/threads/{thread}")).status_code == 503
                way.mend()
                values = json.loads(await waiting.aread())
            async with asyncio.timeout(20):  # it looks every 2 s
                while (await http.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - polled with a deadline
                    await asyncio.sleep(0.05)
    assert values["done"] == ["step", "step", "step"]


async def test_mongodb_is_spoken_to_by_tls(database, mongodb_uri, tmp_path):
    authority = Authority("of mongodb")
    async with _tls_mongodb(authority, mongodb_uri, tmp_path) as mounted:
        tls = {"caSecretRef": {"name": "mongodb-tls", "key": "ca.crt"}}
        client = {"clientCertificateSecretRef": {"name": "mongodb-tls", "key": "client.pem"}}
        async with _agent(_spec(database, tls=tls | client), mounted) as it:
            thread = (await it.client.threads.create())["thread_id"]
            values = await it.client.runs.wait(thread, "agent", input=person("hi"))
            assert values["messages"][-1]["content"] == "You said: hi"
        for parts, told in (
            (tls, "does it ask for a certificate of the agent?"),
            (
                {"caSecretRef": {"name": "mongodb-tls", "key": "other.crt"}} | client,
                "is of no authority that is trusted",
            ),
            (
                {"caSecretRef": {"name": "mongodb-tls", "key": "none"}},
                "Secret mongodb-tls has no value for the key none",
            ),
        ):
            async with running(_spec(database, tls=parts), secrets=mounted, ready=False) as it:
                await it.agent.link.look()
                ready = await it.client.http.client.get("/readyz")
                assert (ready.status_code, told in ready.text) == (503, True), ready.text


@pytest.mark.parametrize("option", ["tlsAllowInvalidCertificates=true", "tls=false", "tlsAllowInvalidHostnames=true"])
async def test_a_connection_string_does_not_weaken_tls(database, mongodb_uri, tmp_path, option):
    async with _tls_mongodb(Authority("of mongodb"), mongodb_uri, tmp_path, host="elsewhere", query=option) as mounted:
        tls = {"caSecretRef": {"name": "mongodb-tls", "key": "ca.crt"}}
        async with running(_spec(database, tls=tls), secrets=mounted, ready=False) as it:
            await it.agent.link.look()
            assert "its certificate is of another host" in str(it.agent.link.problem)


async def test_a_mongodb_without_tls_is_not_spoken_to(database, mounted):
    (mounted / "apm-mongodb" / "ca.crt").write_text(Authority().pem)
    tls = {"caSecretRef": {"name": "apm-mongodb", "key": "ca.crt"}}
    async with running(_spec(database, tls=tls), secrets=mounted, ready=False) as it:
        await it.agent.link.look()
        assert "MongoDB can't be used: ServerSelectionTimeoutError" in str(it.agent.link.problem)


@asynccontextmanager
async def _tls_mongodb(
    authority: Authority, uri: str, folder: Path, *, host: str = "127.0.0.1", query: str = ""
) -> AsyncIterator[Path]:
    """MongoDB behind a port that asks for TLS and a client's certificate; gives the folder of a pod's Secrets."""
    parts = urlsplit(uri)
    certificate, key = authority.issue((), host=host)
    (folder / "server.pem").write_text(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # a client learns in the handshake that it lacks a certificate
    swap(
        folder / "mongodb-tls",
        {"ca.crt": authority.pem, "client.pem": "".join(authority.issue()), "other.crt": Authority("of others").pem},
    )
    async with proxy(parts.hostname or "", parts.port or 27017, context) as way:
        address = f"{parts.username}:{parts.password}@127.0.0.1:{way.port}"
        (folder / "apm-mongodb").mkdir()
        (folder / "apm-mongodb" / "uri").write_text(urlunsplit(parts._replace(netloc=address, query=query)))
        yield folder


async def test_without_mongodb_the_pod_lives_is_not_ready_and_says_why(tmp_path):
    folder = tmp_path / "apm-mongodb"
    folder.mkdir()
    (folder / "uri").write_text("mongodb://someone:hidden@127.0.0.1:9/")
    async with running(_spec("none"), secrets=tmp_path, ready=False) as it:
        await it.agent.link.look()
        http = it.client.http.client
        assert (await http.get("/livez")).status_code == 200
        ready = await http.get("/readyz")
        assert ready.status_code == 503
        assert "ServerSelectionTimeoutError" in ready.json()["checks"]["mongodb"]["message"]
        assert "hidden" not in ready.text
        refused = await http.post("/threads", json={})
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "2"


async def _until_running(it: RunningAgent, thread: str, run_id: str) -> None:
    async with asyncio.timeout(10):
        while (await it.client.runs.get(thread, run_id))["status"] != "running":  # noqa: ASYNC110 - polled with a deadline
            await asyncio.sleep(0.02)


def _kill(it: RunningAgent) -> None:
    """Stops the pod's work as SIGKILL would: nothing is handed back, nothing is renewed."""
    worker = it.agent.runs.worker
    worker._heartbeat.stop()
    for loop in worker._loops:
        loop.cancel()
    for job in worker._jobs.values():
        job.stop(None)


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_run_is_cancelled_from_another_pod(database, mounted, action):
    endless = {**SLOW, "script": [{"reply": "step", "delay": "60s"}]}
    spec = _spec(database, models=[endless], workflow=SLOW_STEPS)
    async with _agent(spec, mounted) as first, _agent(spec, mounted) as second:
        thread = (await first.client.threads.create())["thread_id"]
        run = await first.client.runs.create(thread, "agent", input=person("go"))
        await _until_running(first, thread, run["run_id"])
        other = second if first.agent.runs.worker.job(run["run_id"]) else first
        async with asyncio.timeout(20):
            await other.client.runs.cancel(thread, run["run_id"], action=action, wait=True)
        found = await other.client.runs.list(thread)
        assert [one["status"] for one in found] == (["interrupted"] if action == "interrupt" else [])


async def test_a_newer_run_takes_the_place_of_one_in_another_pod(database, mounted):
    spec = _spec(database, models=[SLOW], workflow=SLOW_STEPS)
    async with _agent(spec, mounted) as first, _agent(spec, mounted) as second:
        thread = (await first.client.threads.create())["thread_id"]
        run = await first.client.runs.create(thread, "agent", input=person("go"))
        await _until_running(first, thread, run["run_id"])
        other = second if first.agent.runs.worker.job(run["run_id"]) else first
        newer = await other.client.runs.create(thread, "agent", input={}, multitask_strategy="interrupt")
        values = await other.client.runs.join(thread, newer["run_id"])
        assert values["done"][-3:] == ["step", "step", "step"]
        assert (await first.client.runs.get(thread, run["run_id"]))["status"] == "interrupted"


async def test_commands_connections_checkpoints_and_room_are_measured(database, mounted):
    async with _agent(_spec(database), mounted) as it:
        await it.client.runs.wait(None, "agent", input=person("hi"))
        assert it.agent.connection is not None
        await it.agent.connection.measure()
        found = it.agent.metrics.registry.get_sample_value
        for command in ("insert", "find", "dbStats"):
            assert found("apm_agent_mongodb_command_duration_seconds_count", {"command": command})
        assert found("apm_agent_mongodb_connections")
        assert found("apm_agent_mongodb_connections_used") is not None
        assert found("apm_agent_checkpoint_write_duration_seconds_count")
        assert found("apm_agent_checkpoint_written_bytes_total")
        assert found("apm_agent_mongodb_data_bytes")
