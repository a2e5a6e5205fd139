from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent_runtime import outbound
from agent_runtime.errors import CallError, CallErrorKind, ConfigError
from agent_runtime.spec.tool import ToolSpec
from agent_runtime.workflow.http_tool import HTTPToolCaller
from fakes.tool_server import tool_server

NUMBER = {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}


@pytest.fixture
async def http():
    async with outbound.client() as client:
        yield client


def tool(http, url: str, secrets: Path = Path("/nonexistent"), **parts: Any) -> HTTPToolCaller:
    parameters = parts.pop("parameters", {"type": "object"})
    spec = ToolSpec.model_validate({"name": "lookup", "parameters": parameters, "http": {"url": url, **parts}})
    return HTTPToolCaller(spec, http, outbound.Secrets(secrets))


async def test_arguments_fill_the_address_and_the_rest_is_the_body(http):
    async with tool_server() as service:
        caller = tool(http, f"{service.url}/orders/{{number}}?lang={{lang}}", method="POST")
        answer = await caller.call({"number": "a/../b c", "lang": "d&e=f", "note": "x"}, "key-1")
    assert answer == {"ok": True}
    call = service.calls[0]
    assert call.path == "/orders/a%2F..%2Fb%20c"
    assert call.query == "lang=d%26e%3Df"
    assert json.loads(call.body) == {"note": "x"}
    assert call.headers["idempotency-key"] == "key-1"


async def test_a_get_sends_the_rest_as_query(http):
    async with tool_server() as service:
        await tool(http, f"{service.url}/find", method="GET").call({"q": "a b", "n": 2}, "k")
    assert (service.calls[0].query, service.calls[0].body) == ("q=a+b&n=2", b"")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"number": 7}, "number: 7 is not of type 'string'"),
        ({}, "'number' is a required property"),
        ({"number": ".."}, "can't be part of an address"),
    ],
)
async def test_wrong_arguments_are_refused_and_nothing_is_sent(http, arguments, message):
    async with tool_server() as service:
        caller = tool(http, f"{service.url}/orders/{{number}}", parameters=NUMBER)
        with pytest.raises(CallError, match=message) as caught:
            await caller.call(arguments, "k")
    assert caught.value.kind == CallErrorKind.REFUSED
    assert service.calls == []


async def test_the_token_is_sent_and_a_redirect_is_not_followed(http, tmp_path):
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "token").write_text("t0ken")
    async with tool_server(302) as service:
        caller = tool(http, f"{service.url}/x", tmp_path, bearerTokenSecretRef={"name": "crm", "key": "token"})
        with pytest.raises(CallError) as caught:
            await caller.call({}, "k")
    assert caught.value.kind == CallErrorKind.REFUSED
    assert [call.headers["authorization"] for call in service.calls] == ["Bearer t0ken"]


async def test_a_key_is_sent_in_a_header_of_its_own_and_taken_out_of_the_answer(http, tmp_path):
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "key").write_text("k3y-of-crm\n")
    reference = {"apiKeySecretRef": {"name": "crm", "key": "key"}}
    outbound.baggage.set(outbound.Baggage(headers={"X-Crm-Key": "of-the-caller"}))
    async with tool_server(answer={"you sent": "k3y-of-crm"}) as service:
        named = tool(http, f"{service.url}/x", tmp_path, **reference, apiKeyHeader="X-Crm-Key")
        assert await named.call({}, "k") == {"you sent": "[redacted]"}
        await tool(http, f"{service.url}/x", tmp_path, **reference).call({}, "k")
    assert service.calls[0].headers["x-crm-key"] == "k3y-of-crm"
    assert service.calls[1].headers["x-api-key"] == "k3y-of-crm"
    assert "authorization" not in service.calls[0].headers


async def test_a_busy_service_is_tried_again_with_the_same_key(http):
    async with tool_server(503, 429) as service:
        assert await tool(http, f"{service.url}/x").call({}, "k") == {"ok": True}
    assert [call.headers["idempotency-key"] for call in service.calls] == ["k", "k", "k"]


async def test_too_large_an_answer_is_refused(http, monkeypatch):
    monkeypatch.setattr(outbound, "MAX_ANSWER_BYTES", 1000)
    async with tool_server(answer="x" * 2000) as service:
        with pytest.raises(CallError) as caught:
            await tool(http, f"{service.url}/x").call({}, "k")
    assert caught.value.kind == CallErrorKind.BAD_ANSWER


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_argument_sets_nothing_that_the_address_sets(http, method):
    async with tool_server() as service:
        caller = tool(http, f"{service.url}/orders?tenant=5&number={{number}}", method=method)
        with pytest.raises(CallError, match="the argument tenant of tool lookup is set by the tool's address"):
            await caller.call({"number": "7", "tenant": "6"}, "k")
        assert service.calls == []
        await caller.call({"number": "7", "page": "2"}, "k")
    assert service.calls[0].query == "tenant=5&number=7&page=2"


@pytest.mark.parametrize("arguments", [{"a": ".", "b": "."}, {"a": "", "b": ""}, {"a": "", "b": "."}])
async def test_arguments_that_together_leave_the_path_are_refused(http, arguments):
    async with tool_server() as service:
        caller = tool(http, f"{service.url}/public/{{a}}{{b}}/orders")
        with pytest.raises(CallError, match="can't be part of an address"):
            await caller.call(arguments, "k")
        assert service.calls == []


async def test_a_query_takes_any_text(http):
    async with tool_server() as service:
        await tool(http, f"{service.url}/find?q={{q}}&from={{q}}").call({"q": ".."}, "k")
    assert service.calls[0].query == "q=..&from=.."


def test_a_schema_that_is_none_is_said_when_the_agent_starts(http):
    with pytest.raises(ConfigError, match="tool lookup is not valid"):
        tool(http, "http://localhost", parameters={"type": "nothing"})
