"""What is measured of the graphs of runs, of what they call, and of the queue."""

from __future__ import annotations

from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from agent_runtime.runs.gauges import Gauges
from agent_runtime.state.records import Run, Thread
from fakes.agents import running
from fakes.tool_server import tool_server

STATE = {"messages": {"type": "messages"}, "found": {"type": "any"}, "left": {"type": "integer"}}
NOTHING = {"body": {"input": None}}


async def samples(url: str) -> dict[str, float]:
    """Each sample by its name and the values of its labels."""
    async with httpx.AsyncClient() as http:
        families = [*text_string_to_metric_families((await http.get(f"{url}/metrics")).text)]
    every = (sample for family in families for sample in family.samples)
    return {" ".join((sample.name, *sample.labels.values())): sample.value for sample in every}


def spec(url: str) -> dict[str, Any]:
    """Counts down in a loop, then asks a model and a tool."""
    tool = {"name": "lookup", "http": {"url": f"{url}/found", "maxAttempts": 1}}
    again = {"switch": [{"when": "state.left > 0", "to": "count"}], "else": "ask"}
    retry = {"attempts": 2, "initial": "0s", "max": "1s", "jitter": False}
    nodes = [
        {"name": "count", "uses": "set", "with": {"values": {"left": "state.left - 1"}}, "next": again},
        {"name": "ask", "uses": "model", "next": "look"},
        {"name": "look", "uses": "tool", "with": {"tool": "lookup", "save": "found"}, "retry": retry},
    ]
    return {
        "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "yes"}], "maxTokens": 100}],
        "budgets": {"agent": {"tokensPerDay": 1_000_000}},
        "workflow": {"state": STATE, "start": "count", "limits": {"steps": 20}, "tools": [tool], "nodes": nodes},
    }


async def test_nodes_models_tools_and_retries_are_measured():
    async with tool_server(503, 200, answer={"at": 1}) as service, running(spec(service.url)) as it:
        before = await samples(it.url)
        await it.client.runs.wait(None, "agent", input={"left": 3, "messages": [{"role": "user", "content": "hi"}]})
        after = await samples(it.url)
    found = {name: value - before.get(name, 0) for name, value in after.items()}
    assert found["apm_agent_supersteps_total"] == 5, "three times around, then twice on"
    assert found["apm_agent_node_attempts_total count success"] == 3
    assert found["apm_agent_node_attempts_total look error"] == 1
    assert found["apm_agent_node_attempts_total look success"] == 1
    assert found["apm_agent_node_duration_seconds_count look"] == 2
    assert found["apm_agent_model_calls_total default success"] == 1
    assert found["apm_agent_model_call_duration_seconds_count default"] == 1
    assert found["apm_agent_tool_calls_total 5xx lookup"] == 1
    assert found["apm_agent_tool_calls_total success lookup"] == 1
    assert found["apm_agent_retries_total TRANSIENT"] == 1


async def test_the_queue_and_the_budget_are_told():
    model = {"name": "default", "provider": "scripted", "script": [{"reply": "yes"}], "maxTokens": 100}
    chat = {"state": {"messages": {"type": "messages"}}, "start": "a", "nodes": [{"name": "a", "uses": "model"}]}
    budget = {"agent": {"tokensPerDay": 10_000}}
    async with running({"models": [model], "workflow": chat, "budgets": budget}) as it:
        await it.client.runs.wait(None, "agent", input={"messages": [{"role": "user", "content": "hi"}]})
        await it.agent.store.add_thread(Thread("t1"))
        await it.agent.store.add_run(Run("r1", "t1", NOTHING))
        gauges = Gauges(it.agent.store, it.agent.resilience.budgets, None, it.agent.metrics)
        await gauges.look()
        registry = it.agent.metrics.registry
        assert registry.get_sample_value("apm_agent_runs_queued") == 1
        assert registry.get_sample_value("apm_agent_runs_waiting") == 1
        assert registry.get_sample_value("apm_agent_runs_oldest_queued_seconds") is not None
        used = registry.get_sample_value("apm_agent_budget_used_ratio", {"resource": "tokens"})
        assert used is not None
        assert 0 < used < 0.1
        assert registry.get_sample_value("apm_agent_budget_used_ratio", {"resource": "cost"}) is None
