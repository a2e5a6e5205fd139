"""Spans of an agent in the test's own process, at a receiver that reads OTLP."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from agent_runtime.agent import Agent
from agent_runtime.errors import ConfigError
from agent_runtime.outbound import Secrets
from agent_runtime.settings import Settings
from agent_runtime.spec.tracing import TracingSpec
from agent_runtime.tracing import exporter as exporting
from agent_runtime.tracing import spans
from agent_runtime.tracing.exporter import build
from agent_runtime.tracing.metrics import TracingMetrics
from fakes.agents import CHAT, ECHO, config, last_text, person, running
from fakes.otlp_receiver import otlp_receiver
from fakes.serving import free_port
from fakes.tool_server import tool_server

APPROVAL = {
    "state": {"messages": {"type": "messages"}, "answer": {"type": "any"}},
    "start": "ask",
    "nodes": [
        {"name": "ask", "uses": "approval", "with": {"ask": "May I?", "save": "answer", "routes": {"approved": "end"}}}
    ],
}
REPOSITORY = Path(__file__).parents[4]


def traced(url: str, **spec: Any) -> dict[str, Any]:
    """An agent that sends its traces to an address."""
    return {"models": [ECHO], "workflow": CHAT, "tracing": {"endpoint": url}, **spec}


def test_without_tracing_opentelemetry_is_not_loaded():
    code = """
import sys
from agent_runtime.libraries import lean_imports
with lean_imports():
    from agent_runtime.agent import Agent
    import agent_runtime.server.process
print(sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_tracing_nothing_is_passed_on_or_logged():
    with spans.span("nothing", "internal", {}) as span:
        span.note({"a": 1})
        span.fail("Timeout")
        assert (spans.headers(), spans.callbacks(), spans.exemplar()) == ({}, [], None)
        assert spans.add_ids(None, "info", {"event": "x"}) == {"event": "x"}


async def test_a_run_that_answers_is_linked_to_the_request_that_it_answers():
    async with otlp_receiver() as receiver:
        async with running(traced(receiver.url, workflow=APPROVAL)) as it:
            thread = (await it.client.threads.create())["thread_id"]
            await it.client.runs.wait(thread, "agent", input=person("go"))
            await it.client.runs.wait(thread, "agent", command={"resume": "approved"})
        asked, answered = (span for span in receiver.spans if span.name == "POST /threads/{thread_id}/runs/wait")
        runs = {span.parent: span for span in receiver.spans if span.name == "invoke_agent tested"}
    assert asked.trace != answered.trace
    assert runs[answered.id].links == ((asked.trace, asked.id),)
    assert runs[asked.id].attributes["apm.run.status"] == "interrupted"
    assert not any(span.failed for span in receiver.spans), "to wait is no failure"


async def test_failures_are_told_by_their_kind_alone():
    tool = {"name": "lookup", "http": {"url": "{url}/found", "maxAttempts": 1}}
    node = {"name": "look", "uses": "tool", "with": {"tool": "lookup"}}
    async with otlp_receiver() as receiver, tool_server(403) as service:
        tool["http"] = {"url": f"{service.url}/found"}
        flow = {"state": CHAT.get("state", {}), "start": "look", "tools": [tool], "nodes": [node]}
        async with running(traced(receiver.url, workflow=flow)) as it:
            await it.client.runs.wait(None, "agent", input={}, raise_error=False)
        failed = {span.name: span.attributes["error.type"] for span in receiver.spans if span.failed}
    kind = "Authentication"
    assert failed == dict.fromkeys(("invoke_agent tested", "node look", "execute_tool lookup"), kind)
    assert "refused the credentials" not in receiver.text


async def test_what_the_caller_does_not_keep_is_not_kept():
    async with otlp_receiver() as receiver:
        async with running(traced(receiver.url)) as it:
            dropped = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}
            await it.client.runs.wait(None, "agent", input=person("hi"), headers=dropped)
        assert receiver.spans == []
        none = {"endpoint": receiver.url, "sampleRatio": 0}
        async with running(traced(receiver.url, tracing=none)) as it:
            assert last_text(await it.client.runs.wait(None, "agent", input=person("hi"))) == "You said: hi"
        assert receiver.spans == []


async def test_secrets_are_sent_in_headers_as_they_are_now(tmp_path: Path):
    (tmp_path / "apm").mkdir()
    (tmp_path / "apm" / "key").write_text("abc123\n")
    async with otlp_receiver() as receiver:
        headers = [{"name": "Authorization", "secretKeyRef": {"name": "apm", "key": "key"}}]
        tracing = {"endpoint": receiver.url + "/", "headers": {"X-Scope-OrgID": "shop"}, "secretHeaders": headers}
        async with running(traced(receiver.url, tracing=tracing), secrets=tmp_path) as it:
            await it.client.runs.wait(None, "agent", input=person("hi"))
    assert {sent["authorization"] for sent in receiver.headers} == {"abc123"}
    assert {sent["x-scope-orgid"] for sent in receiver.headers} == {"shop"}


async def test_a_receiver_that_points_elsewhere_has_not_got_the_spans():
    """As one behind an ingress does that wants `https`."""
    async with otlp_receiver() as receiver:
        receiver.elsewhere = "https://127.0.0.1:1/v1/traces"
        registry = CollectorRegistry()
        spec = TracingSpec.model_validate({"endpoint": receiver.url})
        exporter = build(spec, Secrets(Path("none")), TracingMetrics(registry))
        span = ReadableSpan("node answer", SpanContext(1, 2, is_remote=False))
        with capture_logs() as logs:
            results = [await asyncio.to_thread(exporter.export, [span]) for _ in range(2)]
            receiver.elsewhere = ""
            results.append(await asyncio.to_thread(exporter.export, [span]))
        exporter.shutdown()
    assert results == [SpanExportResult.FAILURE, SpanExportResult.FAILURE, SpanExportResult.SUCCESS]
    assert registry.get_sample_value("apm_agent_spans_total", {"result": "error"}) == 2
    assert [(line["event"], line.get("reason")) for line in logs] == [
        ("traces can't be sent and are lost", "HTTP 308"),
        ("traces are sent again", None),
    ]


def test_what_keeps_spans_from_being_sent_is_told(tmp_path: Path):
    headers = [{"name": "Authorization", "secretKeyRef": {"name": "apm", "key": "missing"}}]
    spec = TracingSpec.model_validate({"endpoint": "http://127.0.0.1:1", "secretHeaders": headers})
    exporter = build(spec, Secrets(tmp_path), TracingMetrics(CollectorRegistry()))
    with capture_logs() as logs:
        exporter.export([ReadableSpan("node answer", SpanContext(1, 2, is_remote=False))])
    exporter.shutdown()
    assert [line["reason"] for line in logs] == ["Authentication"]


@pytest.mark.parametrize("listens", [True, False], ids=["silent", "gone"])
def test_spans_that_could_not_be_sent_are_not_kept(listens, monkeypatch):
    """Cycles of garbage would keep them: while a receiver is away, for hours."""
    monkeypatch.setattr(exporting, "_TIMEOUT", 0.2)
    listener, port = free_port()
    with listener:
        if listens:
            listener.listen()
        spec = TracingSpec.model_validate({"endpoint": f"http://127.0.0.1:{port}"})
        exporter = build(spec, Secrets(Path("none")), TracingMetrics(CollectorRegistry()))
        span = ReadableSpan("node answer", SpanContext(1, 2, is_remote=False))
        kept = weakref.ref(span)
        gc.disable()
        try:
            assert exporter.export([span]) is SpanExportResult.FAILURE
            del span
            assert kept() is None
        finally:
            gc.enable()
        exporter.shutdown()


async def test_durations_lead_to_traces():
    async with otlp_receiver() as receiver, running(traced(receiver.url)) as it:
        await it.client.runs.wait(None, "agent", input=person("hi"))
        async with httpx.AsyncClient() as http:
            accept = {"accept": "application/openmetrics-text;version=1.0.0"}
            text = (await http.get(f"{it.url}/metrics", headers=accept)).text
        with_traces = {
            family.name
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.exemplar is not None and len(sample.exemplar.labels["trace_id"]) == 32
        }
    durations = {"run", "node", "model_call"}
    assert {f"apm_agent_{each}_duration_seconds" for each in durations} <= with_traces


def test_an_image_without_the_packages_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    for name in [name for name in sys.modules if name.startswith("agent_runtime.tracing.exporter")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError, match="add the extra `tracing`"):
        Agent(config(traced("http://receiver:4318")), Settings())
