"""Tools of MCP servers, called as workflows do, from a server of the official library over real HTTP."""

import asyncio
import json
import socket
import time
from typing import Any, Self

import pytest

from agent_runtime import outbound
from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.mcp.servers import MCPServers
from agent_runtime.metrics import Metrics
from agent_runtime.resilience.breakers import Breakers
from agent_runtime.spec.mcp import MCPServerSpec
from agent_runtime.spec.tool import ToolSpec
from agent_runtime.workflow.mcp_tool import MCPToolCaller
from fakes.mcp_server import FakeMCP, mcp_server

ERAS = pytest.mark.parametrize("is_old", [False, True], ids=["modern", "handshake"])


class Place:
    """What calls tools, put together as an agent does it."""

    def __init__(self, fake: FakeMCP | str, secrets, **spec: Any) -> None:
        url = fake if isinstance(fake, str) else fake.url
        given = {"name": "fake", "url": url, "timeout": "5s", "backoff": {"initial": "1ms", "jitter": False}, **spec}
        self.metrics = Metrics()
        self.http = outbound.client()
        self.servers = MCPServers(
            (MCPServerSpec.model_validate(given),),
            self.http,
            outbound.Secrets(secrets),
            Breakers(),
            self.metrics.registry,
        )

    def tool(self, name: str, **spec: Any) -> MCPToolCaller:
        given = {"name": "tool", "mcp": {"server": "fake", "tool": name}, **spec}
        return MCPToolCaller.of(ToolSpec.model_validate(given), self.servers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.servers.close()
        await self.http.aclose()


@ERAS
async def test_a_tool_is_described_and_called(is_old, tmp_path):
    async with mcp_server(is_old=is_old) as fake, Place(fake, tmp_path) as place:
        told = await place.tool("add").describe()
        answer = await place.tool("add").call({"a": 2, "b": 3}, "key-1")
    assert (told.name, told.description) == ("tool", "Adds two numbers.")
    assert told.parameters["required"] == ["a", "b"]
    assert answer == {"total": 5}
    (call,) = fake.of("tools/call")
    assert call.headers["idempotency-key"] == "key-1"
    assert call.params["_meta"]["apm.valeo-neuroerp.com/idempotencyKey"] == "key-1"
    assert len(fake.of("tools/list")) == 1
    assert len(fake.of("initialize")) == (2 if is_old else 0)


async def test_answers_become_values(tmp_path):
    async with mcp_server() as fake, Place(fake, tmp_path) as place:
        assert await place.tool("say").call({"text": "hello"}, "k") == "hello"
        assert await place.tool("say").call({"text": '{"a": [1]}'}, "k") == {"a": [1]}
        drawn = await place.tool("draw").call({}, "k")
    assert [block["type"] for block in drawn] == ["text", "image"]
    assert drawn[1]["mimeType"] == "image/png"


@ERAS
async def test_an_error_of_the_tool_is_told(is_old, tmp_path):
    async with mcp_server(is_old=is_old) as fake, Place(fake, tmp_path) as place:
        with pytest.raises(CallError, match=r"tool tool failed: .*no such ticket") as raised:
            await place.tool("fail").call({"reason": "no such ticket"}, "k")
    assert raised.value.kind == CallErrorKind.REFUSED


REFUSED = {
    "no such tool": ("nothing", {}, {}, r"has no tool nothing \(there are: add,"),
    "arguments that don't fit": ("add", {"a": "two", "b": 3}, {}, "don't fit: a: 'two' is not of type 'integer'"),
    "an argument too many in the spec": (
        "say",
        {"text": "x"},
        {"parameters": {"type": "object", "properties": {"text": {}, "loud": {}}, "required": ["text"]}},
        "takes no argument loud; correct",
    ),
    "an argument that the spec leaves out": (
        "add",
        {"a": 1},
        {"parameters": {"type": "object", "properties": {"a": {}}, "required": ["a"]}},
        "requires the argument b",
    ),
    "an argument of another type": (
        "say",
        {"text": 1},
        {"parameters": {"type": "object", "properties": {"text": {"type": "integer"}}, "required": ["text"]}},
        "is of type string, that of `parameters` of type integer",
    ),
}


@pytest.mark.parametrize(("tool", "arguments", "spec", "message"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_does_not_fit_is_not_sent(tool, arguments, spec, message, tmp_path):
    async with mcp_server() as fake, Place(fake, tmp_path) as place:
        with pytest.raises(CallError, match=message) as raised:
            await place.tool(tool, **spec).call(arguments, "k")
    assert raised.value.kind == CallErrorKind.REFUSED
    assert fake.of("tools/call") == []


async def test_secrets_and_baggage_go_with_calls_and_secrets_never_come_back(tmp_path):
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "token").write_text("t0ken-abcdef\n")
    (tmp_path / "crm" / "key").write_text("k3y-abcdef")
    spec = {
        "bearerTokenSecretRef": {"name": "crm", "key": "token"},
        "secretHeaders": [{"name": "X-Key", "secretKeyRef": {"name": "crm", "key": "key"}}],
        "headers": {"X-Tenant": "shop"},
    }
    trace = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}
    async with mcp_server() as fake, Place(fake, tmp_path, **spec) as place:
        outbound.baggage.set(outbound.Baggage(headers=trace))
        seen = await place.tool("who").call({}, "k")
    sent = fake.of("tools/call")[0]
    assert sent.headers["authorization"] == "Bearer t0ken-abcdef"
    assert sent.headers["x-key"] == "k3y-abcdef"
    assert sent.params["_meta"]["traceparent"] == trace["traceparent"]
    assert (seen["x-tenant"], seen["traceparent"]) == ("shop", trace["traceparent"])
    assert "abcdef" not in json.dumps(seen)


FAULTS = {
    "busy, and nothing done": ({"tools_call": [503, 429]}, "say", 3, None),
    "failing, but the tool may be called twice": ({"tools_call": [500]}, "add", 2, None),
    "failing, and it may have been done": ({"tools_call": [500]}, "say", 1, CallErrorKind.SERVER),
    "wrong credentials": ({"tools_call": [401]}, "add", 1, CallErrorKind.AUTHENTICATION),
    "a list that fails first": ({"tools_list": [502]}, "say", 1, None),
    "redirected": ({"tools_call": [302]}, "add", 1, CallErrorKind.REFUSED),
}


@pytest.mark.parametrize(("statuses", "tool", "calls", "kind"), FAULTS.values(), ids=FAULTS.keys())
async def test_failures_are_tried_again_where_that_does_no_harm(statuses, tool, calls, kind, tmp_path):
    arguments = {"add": {"a": 1, "b": 1}, "say": {"text": "x"}}[tool]
    statuses = {name: list(each) for name, each in statuses.items()}
    async with mcp_server(**statuses) as fake, Place(fake, tmp_path) as place:
        if kind is None:
            await place.tool(tool).call(arguments, "k")
        else:
            with pytest.raises(CallError) as raised:
                await place.tool(tool).call(arguments, "k")
            assert raised.value.kind == kind
    assert len(fake.of("tools/call")) == calls


@ERAS
async def test_a_call_that_is_given_up_is_cancelled_there(is_old, tmp_path):
    async with mcp_server(is_old=is_old) as fake, Place(fake, tmp_path) as place:
        call = asyncio.create_task(place.tool("wait").call({}, "k"))
        async with asyncio.timeout(10):
            await fake.begun.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await fake.cancelled.wait()


async def test_the_deadline_of_the_run_ends_a_call(tmp_path):
    async with mcp_server() as fake, Place(fake, tmp_path) as place:
        await place.tool("wait").describe()
        loop = asyncio.get_running_loop()
        outbound.baggage.set(outbound.Baggage(deadline=time.time() + 0.5))
        start = loop.time()
        with pytest.raises(CallError) as raised:
            await place.tool("wait").call({}, "k")
    assert raised.value.kind == CallErrorKind.TIMEOUT
    assert loop.time() - start < 3
    assert 0 < float(fake.of("tools/call")[0].headers["apm-timeout"]) <= 0.5


async def test_a_server_that_is_away_opens_its_breaker(tmp_path):
    breaker = {"failureThreshold": 2, "timeout": "60s"}
    async with Place("http://127.0.0.1:9/mcp", tmp_path, breaker=breaker, maxAttempts=2) as place:
        with pytest.raises(CallError) as away:
            await place.tool("say").call({"text": "x"}, "k")
        with pytest.raises(CallError) as left_alone:
            await place.tool("say").call({"text": "x"}, "k")
    assert away.value.kind == CallErrorKind.CONNECTION
    assert left_alone.value.kind == CallErrorKind.CIRCUIT_OPEN


async def test_forbidden_addresses_are_not_asked(tmp_path, monkeypatch):
    def look_up(*_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with mcp_server() as fake:
        url = fake.url.replace("127.0.0.1", "tickets.example")
        async with Place(url, tmp_path) as place:
            with pytest.raises(CallError, match=r"leads to 127\.0\.0\.1, which is the pod itself") as raised:
                await place.tool("say").describe()
    assert raised.value.kind == CallErrorKind.REFUSED
    assert fake.asked == []


@ERAS
async def test_changes_of_the_tools_are_heard(is_old, tmp_path):
    async with mcp_server(is_old=is_old) as fake, Place(fake, tmp_path, refresh="1h") as place:
        place.servers.start()
        assert (await place.tool("say").describe()).description == ""
        fake.server.remove_tool("say")
        async with asyncio.timeout(10):
            while True:
                await fake.tell_of_change()
                try:
                    await place.tool("say").describe()
                except CallError as error:
                    assert "has no tool say" in str(error)  # noqa: PT017 - in a loop
                    break
                await asyncio.sleep(0.02)
