"""Receivers of traces that take nothing: agents, each a process of its own, go on, and tell what they have lost."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langgraph_sdk import get_client
from prometheus_client.parser import text_string_to_metric_families

from fakes.agents import CHAT, config, last_text, person
from fakes.authority import Authority
from fakes.otlp_receiver import otlp_receiver
from fakes.processes import Program, program
from fakes.serving import free_port
from integration.collector import collector, trust

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WAITING, BATCH = 40, 10
FEW = {"OTEL_BSP_MAX_QUEUE_SIZE": str(WAITING), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(BATCH)}
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
RUNS = 50
SPANS = 4
"""Of each run: the request, the run, its node and its call of a model."""
SENDING = 10
"""Seconds that an agent tries to send a batch: a run that waited for that would take as long."""


def greeting(tracing: dict[str, Any]) -> dict[str, Any]:
    """An agent that says hello."""
    model = {"name": "default", "provider": "scripted", "script": [{"reply": "Hello"}]}
    return {"tracing": tracing, "models": [model], "workflow": CHAT}


@dataclass
class Greeted:
    """What came of greetings: how long each took, in seconds, and what became of spans."""

    seconds: list[float] = field(default_factory=list)
    spans: dict[str, float] = field(default_factory=dict)


async def greet(it: Program, times: int) -> Greeted:
    """Has an agent say hello, again and again."""
    came, client = Greeted(), get_client(url=it.url)
    for _ in range(times):
        began = time.monotonic()
        assert last_text(await client.runs.wait(None, "agent", input=person("hi"))) == "Hello"
        came.seconds.append(time.monotonic() - began)
    await client.aclose()
    async with httpx.AsyncClient(timeout=30) as http:
        text = (await http.get(f"{it.url}/metrics")).text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    came.spans = {each.labels["result"]: each.value for each in samples if each.name == "apm_agent_spans_total"}
    return came


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Takes connections, and answers nothing."""
    listener, port = free_port()
    with listener:
        listener.listen()
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def gone() -> AsyncIterator[str]:
    """Nothing listens there."""
    yield "http://127.0.0.1:1"


@asynccontextmanager
async def failing() -> AsyncIterator[str]:
    """Answers with errors, after which an agent may try again."""
    async with otlp_receiver() as receiver:
        receiver.status = 503
        yield receiver.url


@pytest.mark.parametrize("away", [silent, gone, failing])
async def test_a_receiver_that_is_away_holds_up_nothing(away, tmp_path: Path):
    async with away() as url:
        with program(tmp_path, config(greeting({"endpoint": url})), **FEW, **SOON) as it:
            came = await greet(it, RUNS)
            ending = time.monotonic()
        ended = time.monotonic() - ending
    assert max(came.seconds) < SENDING / 2
    assert ended < SENDING
    assert came.spans["success"] == 0
    # The newest request's span may end after its answer has come.
    assert came.spans["dropped"] + came.spans["error"] >= SPANS * RUNS - 1 - WAITING - BATCH
    assert came.spans["dropped"] > 0


async def test_spans_are_sent_again_when_the_receiver_is_back(tmp_path: Path):
    async with otlp_receiver() as receiver:
        receiver.status = 500
        with program(tmp_path, config(greeting({"endpoint": receiver.url})), **SOON) as it:
            await greet(it, 1)
            async with asyncio.timeout(SENDING):
                while not receiver.arrived:  # noqa: ASYNC110 - polled with a deadline
                    await asyncio.sleep(0.05)
            receiver.status = 200
            await greet(it, 1)
            await receiver.until(lambda spans: any(span.name == "invoke_agent tested" for span in spans))
    assert told(it) == [("traces can't be sent and are lost", "HTTP 500"), ("traces are sent again", None)]


async def test_spans_go_to_a_collector_of_the_named_authority_alone(tmp_path: Path):
    async with collector(tmp_path) as traces:
        trust(traces.secrets, Authority("other"))
        spec = config(greeting(traces.tracing))
        with program(tmp_path, spec, APM_SECRETS_DIR=str(traces.secrets), **SOON) as it:
            await greet(it, 1)
    assert traces.taken.arrived == 0
    assert told(it) == [("traces can't be sent and are lost", "SSLError")]


def told(it: Program) -> list[tuple[str, str | None]]:
    """What the log of an agent that has ended says of traces, and why."""
    lines = [json.loads(line) for line in it.output.splitlines() if line.startswith("{")]
    return [(line["event"], line.get("reason")) for line in lines if line["event"].startswith("traces ")]
