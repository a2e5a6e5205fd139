"""What becomes of nodes that fail: retry, fallback, breakers."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.spec.node_base import RetrySpec
from agent_runtime.workflow.policies import retries, retry_policy
from fakes.agents import person, running
from fakes.openai_server import Answer, Fault, openai_server
from fakes.tool_server import tool_server

TURN = {"assistant_id": "agent", "input": person("hi")}
STATE = {"messages": {"type": "messages"}, "route": {"type": "string"}}
FAST = {"initial": "0s", "max": "1s", "jitter": False}


def call(kind: CallErrorKind, retry_after: float | None = None) -> CallError:
    return CallError(kind, "it failed", retry_after=retry_after)


@pytest.mark.parametrize(
    ("errors", "kinds"),
    [
        (["TRANSIENT"], {"Connection", "5xx", "CircuitOpen"}),
        (["RATE_LIMIT", "TIMEOUT"], {"RateLimit", "Timeout"}),
        (["AUTHENTICATION"], {"Authentication"}),
        (["PERMANENT"], {"Refused", "BadAnswer"}),
        (["5xx"], {"5xx"}),
        (["Any"], {str(kind) for kind in CallErrorKind}),
        (None, {"Timeout", "Connection", "RateLimit", "5xx"}),
    ],
)
def test_kinds_and_categories_are_tried_again(errors: list[str] | None, kinds: set[str]):
    spec = RetrySpec.model_validate({} if errors is None else {"errors": errors})
    assert {str(kind) for kind in CallErrorKind if retries(spec, call(kind))} == kinds


def test_the_pause_that_was_asked_for_is_kept():
    policy = retry_policy(RetrySpec(initial="1s", factor=3, max="30s", jitter=False))
    assert policy is not None
    assert policy.retry_on(call(CallErrorKind.RATE_LIMIT, 7))
    assert (policy.initial_interval, policy.backoff_factor, policy.jitter) == (7, 1.0, False)
    assert policy.retry_on(call(CallErrorKind.SERVER))
    assert (policy.initial_interval, policy.backoff_factor) == (1, 3)
    assert not policy.retry_on(call(CallErrorKind.RATE_LIMIT, 31)), "longer than `max`"


async def turn(spec: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The values after a turn, and the metrics."""
    async with running(spec) as it, httpx.AsyncClient(timeout=30) as http:
        values = (await http.post(f"{it.url}/runs/wait", json=TURN)).json()
        return values, (await http.get(f"{it.url}/metrics")).text


def flow(*nodes: dict[str, Any], model: dict[str, Any] | None = None) -> dict[str, Any]:
    unreachable = {"name": "default", "model": "m", "baseURL": "http://127.0.0.1:9/v1", "maxAttempts": 1}
    return {
        "models": [{**unreachable, **(model or {})}],
        "workflow": {"state": STATE, "start": nodes[0]["name"], "nodes": list(nodes)},
    }


ROUTE = {"name": "route", "uses": "model", "with": {"save": "route"}, "fallback": {"route": "'support'"}}


async def test_a_node_that_fails_goes_on_with_its_fallback():
    switch = {"switch": [{"when": "state.route == 'support'", "to": "ok"}], "else": "end"}
    values, metrics = await turn(
        flow(
            {**ROUTE, "retry": {"attempts": 3, **FAST}, "next": switch},
            {"name": "ok", "uses": "set", "with": {"values": {"route": "state.route + '!'"}}},
        )
    )
    assert values["route"] == "support!"
    assert 'apm_agent_node_fallbacks_total{node="route"} 1.0' in metrics
    assert 'apm_agent_model_calls_total{model="default",result="Connection"} 3.0' in metrics


async def test_a_fallback_after_the_time_limit_is_not_ended_by_it():
    slow = {"provider": "scripted", "baseURL": None, "script": [{"reply": "late", "delay": "20s"}]}
    began = time.monotonic()
    values, _ = await turn(flow({**ROUTE, "timeout": "100ms"}, model=slow))
    assert values["route"] == "support"
    assert time.monotonic() - began < 10


async def test_joins_wait_for_a_node_that_fell_back():
    other = {"name": "other", "uses": "set", "with": {"values": {"messages": "[]"}}}
    join = {"name": "join", "uses": "set", "with": {"values": {"route": "state.route + ' joined'"}}}
    nodes = [ROUTE, other, {**join, "needs": ["route", "other"]}]
    workflow = {"state": STATE, "start": ["route", "other"], "nodes": nodes}
    values, _ = await turn({**flow(ROUTE), "workflow": workflow})
    assert values["route"] == "support joined"


async def test_a_model_that_hands_over_falls_back_to_its_else():
    route = {**ROUTE, "with": {}, "next": {"handoff": ["left"], "else": "right"}}
    left, right = (
        {"name": name, "uses": "set", "with": {"values": {"route": f"'{name}'"}}} for name in ("left", "right")
    )
    values, _ = await turn(flow(route, left, right))
    assert values["route"] == "right"


async def test_an_endpoint_that_fails_is_left_alone_and_asked_again_later():
    async with openai_server(Fault(503), Fault(503), Answer("well")) as server:
        model = {"baseURL": server.url, "breaker": {"failureThreshold": 2, "timeout": "500ms", "successThreshold": 1}}
        spec = flow({"name": "answer", "uses": "model"}, model=model)
        async with running(spec) as it, httpx.AsyncClient(timeout=30) as http:

            async def ask() -> str:
                values = (await http.post(f"{it.url}/runs/wait", json=TURN)).json()
                return str(values["__error__"]["error"] if "__error__" in values else "ok")

            assert [await ask() for _ in range(4)] == ["5xx", "5xx", "CircuitOpen", "CircuitOpen"]
            assert len(server.requests) == 2
            metrics = (await http.get(f"{it.url}/metrics")).text
            assert 'apm_agent_breaker_state{dependency="model default"} 2.0' in metrics
            deadline = time.monotonic() + 10
            while await ask() != "ok":
                assert time.monotonic() < deadline
            metrics = (await http.get(f"{it.url}/metrics")).text
            assert 'apm_agent_breaker_state{dependency="model default"} 0.0' in metrics


async def test_an_agent_that_fails_is_left_alone():
    ask = {"name": "ask", "uses": "agent", "with": {"ref": "kitchen"}, "breaker": {"failureThreshold": 1}}
    closed = {"models": [], "workflow": {"state": STATE, "start": "ask", "nodes": [ask]}}
    async with (
        running(closed, peers={"kitchen": "http://127.0.0.1:9"}) as it,
        httpx.AsyncClient(timeout=60) as http,
    ):
        answers = [(await http.post(f"{it.url}/runs/wait", json=TURN)).json() for _ in range(2)]
        metrics = (await http.get(f"{it.url}/metrics")).text
    assert [answer["__error__"]["error"] for answer in answers] == ["Connection", "CircuitOpen"]
    assert 'apm_agent_breaker_opened_total{dependency="agent kitchen"} 1.0' in metrics


async def test_a_host_that_fails_is_left_alone_by_all_of_its_tools():
    breaker = {"failureThreshold": 1, "timeout": "10m"}
    async with tool_server(500, 500) as server:
        http_of = {"url": f"{server.url}/do", "maxAttempts": 1, "breaker": breaker}
        tools = [{"name": name, "http": http_of} for name in ("one", "two")]
        nodes = [
            {"name": "one", "uses": "tool", "with": {"tool": "one"}, "onError": "two", "next": "end"},
            {"name": "two", "uses": "tool", "with": {"tool": "two"}},
        ]
        spec = {"workflow": {"state": STATE, "start": "one", "nodes": nodes, "tools": tools}}
        values, _ = await turn(spec)
        assert values["__error__"]["error"] == "CircuitOpen"
        assert len(server.calls) == 1


async def test_a_dependency_has_pauses_of_its_own():
    backoff = {"initial": "200ms", "factor": 1, "max": "200ms", "jitter": False}
    async with openai_server(Fault(503), Fault(503), Fault(503), Answer("well")) as server:
        model = {"baseURL": server.url, "maxAttempts": 4, "backoff": backoff}
        began = time.monotonic()
        values, _ = await turn(flow({"name": "answer", "uses": "model"}, model=model))
        took = time.monotonic() - began
    assert values["messages"][-1]["content"] == "well"
    assert took >= 0.6
    assert len(server.requests) == 4
