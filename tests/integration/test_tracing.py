"""One trace over agents, models and tools, each agent a process of its own, at OpenTelemetry's Collector with TLS."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
from langgraph_sdk import get_client
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire

from cluster import ports
from fakes.agents import config, last_text, person
from fakes.mcp_server import mcp_server
from fakes.openai_server import Answer, openai_server
from fakes.processes import program, start, wait_ready
from fakes.tool_server import tool_server
from integration.collector import collector

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from pathlib import Path

    from langgraph_sdk.client import LangGraphClient

    from fakes.otlp_receiver import Receiver

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WORDS = "the number is 4711"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
"""Milliseconds between batches."""
MESSAGES = {"messages": {"type": "messages"}}


def first(tracing: dict[str, Any]) -> dict[str, Any]:
    """Asks the second agent."""
    node = {"name": "ask", "uses": "agent", "with": {"ref": "second"}}
    return {"tracing": tracing, "workflow": {"state": MESSAGES, "start": "ask", "nodes": [node]}}


def second(tracing: dict[str, Any], model: str, service: str, mcp: str) -> dict[str, Any]:
    """Asks a model, which calls a tool, then a tool of an MCP server."""
    state = {**MESSAGES, "sum": {"type": "any"}}
    tools = [
        {"name": "lookup", "http": {"url": f"{service}/found"}},
        {"name": "add", "mcp": {"server": "numbers", "tool": "add"}},
    ]
    nodes = [
        {"name": "think", "uses": "model", "with": {"tools": ["lookup"]}, "next": "sum"},
        {"name": "sum", "uses": "tool", "with": {"tool": "add", "arguments": {"a": "1", "b": "2"}, "save": "sum"}},
    ]
    return {
        "tracing": tracing,
        "models": [{"name": "default", "provider": "openai", "baseURL": model, "model": "gpt"}],
        "mcpServers": [{"name": "numbers", "url": mcp}],
        "workflow": {"state": state, "start": "think", "tools": tools, "nodes": nodes},
    }


def parent_of(headers: Mapping[str, str]) -> tuple[str, str]:
    """The trace and the span that a request names."""
    _, trace, span, _ = headers["traceparent"].split("-")
    return trace, span


async def test_one_trace_leads_from_agent_to_agent_to_model_to_tool(tmp_path: Path):
    called = Answer(calls=(("lookup", json.dumps({"about": WORDS})),))
    async with (
        collector(tmp_path) as traces,
        openai_server(called, Answer(WORDS)) as model,
        tool_server(answer={"found": WORDS}) as service,
        mcp_server() as mcp,
    ):
        with ExitStack() as processes:
            folders = tmp_path / "first", tmp_path / "second"
            for folder in folders:
                folder.mkdir()
            more = {"APM_SECRETS_DIR": str(traces.secrets), **SOON}
            asked = second(traces.tracing, model.url, service.url, mcp.url)
            other = processes.enter_context(program(folders[1], config(asked, name="second"), **more))
            asks = config(first(traces.tracing), name="first", peers={"second": other.url})
            it = processes.enter_context(program(folders[0], asks, **more))
            client = get_client(url=it.url)
            values = await client.runs.wait(None, "agent", input=person(WORDS), headers={"traceparent": CALLER})
            await client.aclose()
            await traces.taken.until(
                lambda spans: ("first", "POST /runs/wait") in {(one.service, one.name) for one in spans}
            )
            async with httpx.AsyncClient(timeout=30) as http:
                scraped = await http.get(f"{other.url}/metrics", headers={"accept": "application/openmetrics-text"})
    receiver = traces.taken
    check(receiver)
    assert last_text(values) == WORDS
    trace, _ = parent_of({"traceparent": CALLER})
    think = receiver.one("second", "execute_tool lookup")
    assert parent_of(service.calls[0].headers) == (trace, think.id)
    chats = {span.id for span in receiver.spans if span.name == "chat default"}
    assert {parent_of(headers)[1] for headers in model.headers} == chats
    (call,) = mcp.of("tools/call")
    assert parent_of(call.params["_meta"]) == (trace, receiver.one("second", "execute_tool add").id)
    assert WORDS not in receiver.text
    assert f'trace_id="{trace}"' in scraped.text
    for process in (it, other):
        lines = [json.loads(line) for line in process.output.splitlines() if line.startswith("{")]
        ended = [line for line in lines if line["event"] == "run ended"]
        assert [line["trace_id"] for line in ended] == [trace]


def check(receiver: Receiver) -> None:
    """Each span has the right parent."""
    trace, caller = parent_of({"traceparent": CALLER})
    tree = {
        ("first", "POST /runs/wait"): caller,
        ("first", "invoke_agent first"): ("first", "POST /runs/wait"),
        ("first", "node ask"): ("first", "invoke_agent first"),
        ("first", "invoke_agent second"): ("first", "node ask"),
        ("second", "POST /a2a"): ("first", "invoke_agent second"),
        ("second", "invoke_agent second"): ("second", "POST /a2a"),
        ("second", "node think"): ("second", "invoke_agent second"),
        ("second", "execute_tool lookup"): ("second", "node think"),
        ("second", "node sum"): ("second", "invoke_agent second"),
        ("second", "execute_tool add"): ("second", "node sum"),
    }
    for (service, name), parent in tree.items():
        span = receiver.one(service, name)
        expected = parent if isinstance(parent, str) else receiver.one(*parent).id
        assert (span.trace, span.parent) == (trace, expected), (service, name)
        assert not span.failed
    chats = [span for span in receiver.spans if span.name == "chat default"]
    assert [span.parent for span in chats] == [receiver.one("second", "node think").id] * 2
    assert {span.attributes["gen_ai.request.model"] for span in chats} == {"gpt"}
    assert all("gen_ai.usage.output_tokens" in span.attributes for span in chats)
    assert receiver.one("second", "POST /a2a").kind == Wire.SPAN_KIND_SERVER
    assert {span.trace for span in receiver.spans} == {trace}


def lasting(tracing: dict[str, Any], database: str, delay: str) -> str:
    """An agent's config whose model takes its time."""
    model = {"name": "default", "provider": "scripted", "script": [{"reply": "Hello", "delay": delay}]}
    spec = {
        "tracing": tracing,
        "state": {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}},
        "models": [model],
        "workflow": {"state": MESSAGES, "start": "answer", "nodes": [{"name": "answer", "uses": "model"}]},
    }
    return config(spec, name="slow").model_dump_json(by_alias=True, exclude_none=True)


async def test_a_run_that_another_pod_goes_on_with_stays_in_its_trace(database, mounted, tmp_path: Path):
    submission, execution = "POST /threads/{thread_id}/runs", "invoke_agent slow"
    more = {"APM_SECRETS_DIR": str(mounted), "APM_LEASE_TIMEOUT_SECONDS": "2", **SOON}
    async with collector(tmp_path) as traces:
        receiver = traces.taken
        text = lasting(traces.tracing, database, "60s")
        with ports.held() as port, start(tmp_path, text, port, **more) as one:
            client = await _client(port, one)
            thread = (await client.threads.create())["thread_id"]
            run = await client.runs.create(thread, "agent", input=person("hi"), headers={"traceparent": CALLER})
            await receiver.until(lambda spans: any(span.name == submission for span in spans))
            async with asyncio.timeout(20):
                while (await client.runs.get(thread, run["run_id"]))["status"] != "running":  # noqa: ASYNC110 - polled
                    await asyncio.sleep(0.05)
            one.kill()
            await client.aclose()
        text = lasting(traces.tracing, database, "1ms")
        with ports.held() as port, start(tmp_path, text, port, **more) as two:
            client = await _client(port, two)
            await client.runs.join(thread, run["run_id"])
            await client.aclose()
            await receiver.until(lambda spans: any(span.name == execution for span in spans))
            two.kill()
    request, again = receiver.one("slow", submission), receiver.one("slow", execution)
    assert (again.trace, again.parent) == (request.trace, request.id)
    assert (request.trace, request.parent) == parent_of({"traceparent": CALLER})
    assert (again.attributes["apm.run.attempt"], again.attributes["apm.run.status"]) == (2, "success")


async def _client(port: int, process: subprocess.Popen[str]) -> LangGraphClient:
    url = f"http://127.0.0.1:{port}"
    await asyncio.to_thread(wait_ready, url, process)
    return get_client(url=url)


async def test_the_code_of_own_graphs_makes_spans_within_its_nodes(tmp_path: Path):
    async with collector(tmp_path) as traces:
        receiver = traces.taken
        spec = config({"tracing": traces.tracing, "graph": "fakes.spanning:graph"})
        with program(tmp_path, spec, APM_SECRETS_DIR=str(traces.secrets), **SOON) as it:
            client = get_client(url=it.url)
            await client.runs.wait(None, "agent", input={"price": 1})
            await client.aclose()
            await receiver.until(lambda spans: any(span.name == "POST /runs/wait" for span in spans))
    outer, within = receiver.one("tested", "node price"), receiver.one("tested", "node inner")
    assert outer.parent == receiver.one("tested", "invoke_agent tested").id
    assert within.parent == outer.id
    assert receiver.one("tested", "look up").parent == outer.id
