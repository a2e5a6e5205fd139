"""Budgets as clients meet them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from agent_runtime.resilience import budgets
from fakes.agents import CHAT, person, running
from fakes.openai_server import Answer, Fault, openai_server

TURN = {"assistant_id": "agent", "input": person("hi")}


def spec(url: str, **parts: Any) -> dict[str, Any]:
    price = {"input": "1", "output": "2"}
    model = {"name": "default", "model": "m", "baseURL": url, "maxTokens": 50, "price": price, "maxAttempts": 1}
    return {"models": [model], "workflow": CHAT, **parts}


async def test_a_run_ends_where_the_budget_does_and_the_next_is_not_accepted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(budgets, "_FRESH", 0.0)
    flow = {
        "start": "one",
        "nodes": [{"name": "one", "uses": "model", "next": "two"}, {"name": "two", "uses": "model", "next": "end"}],
    }
    async with openai_server(Answer("well")) as server:
        limited = spec(server.url, budgets={"account": {"tokensPerDay": 60}}, workflow=flow)
        async with running(limited) as it, httpx.AsyncClient(timeout=20) as http:
            first = (await http.post(f"{it.url}/runs/wait", json=TURN)).json()
            assert first["__error__"]["error"] == "BudgetExceeded"
            assert "the caller's budget for calls of models is used up for today" in first["__error__"]["message"]
            assert len(server.requests) == 1, "the second call was not made"
            refusals = (await http.get(f"{it.url}/metrics")).text
            assert 'apm_agent_budget_refusals_total{level="account"} 1.0' in refusals


async def test_nothing_left_is_told_before_a_run_begins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(budgets, "_FRESH", 0.0)
    async with openai_server(Answer("well " * 100)) as server:
        limited = spec(server.url, budgets={"agent": {"tokensPerDay": 70}})
        async with running(limited) as it, httpx.AsyncClient(timeout=20) as http:
            answers = [await http.post(f"{it.url}/runs/wait", json=TURN) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert 1 <= int(answers[1].headers["retry-after"]) <= 86400
    assert "this agent's budget" in answers[1].json()["detail"]


async def test_a_model_that_fails_costs_nothing():
    async with openai_server(Fault(500), Answer("well")) as server:
        limited = spec(server.url, budgets={"agent": {"tokensPerDay": 80}})
        async with running(limited) as it, httpx.AsyncClient(timeout=20) as http:
            values = [(await http.post(f"{it.url}/runs/wait", json=TURN)).json() for _ in range(2)]
    assert values[0]["__error__"]["error"] == "5xx"
    assert values[1]["messages"][-1]["content"] == "well"


async def test_streams_are_counted_and_money_is_a_metric():
    async with openai_server(Answer("a longer answer")) as server:
        limited = spec(server.url, budgets={"agent": {"costPerDay": "1.00"}})
        async with running(limited) as it, httpx.AsyncClient(timeout=20) as http:
            body = {**TURN, "stream_mode": "messages"}
            text = (await http.post(f"{it.url}/runs/stream", json=body)).text
            assert "longer" in text
            metrics = (await http.get(f"{it.url}/metrics")).text
    cost = next(line for line in metrics.splitlines() if line.startswith('apm_agent_model_cost_total{model="default"}'))
    assert 0 < float(cost.split()[-1]) < 0.001


async def test_what_a_budget_refuses_can_fall_back():
    node = {"name": "answer", "uses": "model", "onError": "sorry", "retry": {"errors": ["Any"]}}
    sorry = {
        "name": "sorry",
        "uses": "set",
        "with": {"values": {"messages": "[{'role': 'assistant', 'content': 'no'}]"}},
    }
    async with openai_server(Answer("well")) as server:
        flow = {"start": "answer", "nodes": [node, sorry]}
        limited = spec(server.url, budgets={"agent": {"tokensPerDay": 10}}, workflow=flow)
        async with running(limited) as it, httpx.AsyncClient(timeout=20) as http:
            values = (await http.post(f"{it.url}/runs/wait", json=TURN)).json()
    assert values["messages"][-1]["content"] == "no"
