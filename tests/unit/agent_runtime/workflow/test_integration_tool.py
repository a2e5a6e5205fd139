"""Operations of integrations as tools of workflows: by nodes, and by models."""

from typing import Any

import pytest

from agent_runtime import outbound
from agent_runtime.agent import Agent
from agent_runtime.errors import CallError, ConfigError
from agent_runtime.integrations.access import Integrations
from agent_runtime.settings import Settings
from agent_runtime.spec.integrations import IntegrationsSpec
from agent_runtime.spec.tool import ToolSpec
from agent_runtime.workflow.integration_tool import IntegrationToolCaller
from fakes.agents import config, last_text, person, running
from fakes.integrations_server import Fault, integrations_server

BOOK = {
    "name": "book",
    "integration": {"name": "bookings", "operation": "create_reservation", "arguments": {"restaurant_id": "r1"}},
}
TEXT = {"name": "text", "integration": {"name": "communications", "operation": "send_sms"}}
TABLE = {
    "starts_at": "2026-12-24T19:00:00+01:00",
    "party_size": 4,
    "customer_name": "Miller",
}


def by_node(integrations: dict[str, Any], *errors: str) -> dict[str, Any]:
    """An agent that books what it is given, and tells the customer."""
    retry = {"attempts": 3, "initial": "10ms", "errors": list(errors)} if errors else None
    return {
        "integrations": integrations,
        "workflow": {
            "state": {"wish": {"type": "object"}, "booked": {"type": "object"}, "told": {"type": "object"}},
            "start": "book",
            "tools": [BOOK, TEXT],
            "nodes": [
                {
                    "name": "book",
                    "uses": "tool",
                    "with": {
                        "tool": "book",
                        "arguments": {name: f"state.wish.{name}" for name in TABLE},
                        "save": "booked",
                    },
                    "next": "tell",
                }
                | ({"retry": retry} if retry else {}),
                {
                    "name": "tell",
                    "uses": "tool",
                    "with": {
                        "tool": "text",
                        "arguments": {"phone_number": "'+4930123456'", "message": "'Booked: ' + state.booked.status"},
                        "save": "told",
                    },
                },
            ],
        },
    }


async def test_nodes_do_operations():
    async with integrations_server() as service, running(by_node(service.spec("bookings", "communications"))) as agent:
        values = await agent.client.runs.wait(None, "agent", input={"wish": TABLE})
    assert values["booked"] == {"id": "create_reservation-1", "status": "confirmed", "alternatives": []}
    assert values["told"]["channel"] == "sms"
    booked, told = service.done
    assert booked.body == {**TABLE, "restaurant_id": "r1"}
    assert told.body["message"] == "Booked: confirmed"
    assert booked.key != told.key


async def test_the_environment_of_the_pod_says_where_services_are(monkeypatch):
    async with integrations_server() as service:
        for name, integration in (("INTEGRATION", "bookings"), ("COMMUNICATIONS", "communications")):
            monkeypatch.setenv(f"{name}_API_URL", service.address(integration))
            monkeypatch.setenv(f"{name}_API_KEY", "key-of-the-pod")
        spec = by_node({})
        del spec["integrations"]
        async with running(spec) as agent:
            values = await agent.client.runs.wait(None, "agent", input={"wish": TABLE})
            metrics = await agent.client.http.client.get("/metrics")
    assert values["booked"]["status"] == "confirmed"
    assert {each.authorization for each in service.sent} == {"Bearer key-of-the-pod"}
    assert 'operation="send_sms",result="success"} 1.0' in metrics.text


async def test_a_node_that_runs_again_does_not_book_again():
    lost = Fault(500, lost=True)
    async with integrations_server(lost, lost) as service:
        spec = by_node(service.spec("bookings", "communications", maxAttempts=1), "5xx")
        async with running(spec) as agent:
            values = await agent.client.runs.wait(None, "agent", input={"wish": TABLE})
    assert values["booked"]["id"] == "create_reservation-1"
    assert [each.operation for each in service.sent] == ["create_reservation"] * 3 + ["send_sms"]
    assert len(service.done) == 2


async def test_a_model_does_operations_and_learns_what_was_wrong():
    call = {"phone_number": "030 123", "message": "On our way"}
    script = [
        {
            "when": "last.startsWith('Error')",
            "toolCalls": [{"name": "text", "arguments": call | {"phone_number": "+4930123"}}],
        },
        {"when": "last.startsWith('{')", "reply": "Sent: {{ last }}"},
        {"toolCalls": [{"name": "text", "arguments": call}]},
    ]
    script.append({"reply": "never"})
    spec = {
        "models": [{"name": "default", "provider": "scripted", "script": script}],
        "workflow": {
            "start": "tell",
            "tools": [TEXT],
            "nodes": [{"name": "tell", "uses": "model", "with": {"tools": ["text"]}}],
        },
    }
    async with (
        integrations_server() as service,
        running(spec | {"integrations": service.spec("communications")}) as agent,
    ):
        values = await agent.client.runs.wait(None, "agent", input=person("Tell them"))
    assert "queued" in last_text(values)
    assert [each.body["phone_number"] for each in service.sent] == ["+4930123"]
    refused = next(message for message in values["messages"] if message["type"] == "tool")
    assert "phone_number: String should match pattern" in refused["content"]


async def test_a_model_is_told_what_it_may_give():
    spec = ToolSpec.model_validate(BOOK)
    urls = IntegrationsSpec.model_validate({"bookings": {"baseURL": "http://h"}})
    tool = IntegrationToolCaller.of(spec, Integrations(urls, {}, secrets=outbound.Secrets(Settings().secrets_dir)))
    assert tool.spec.description == "Books a table in a restaurant."
    parameters = tool.spec.parameters
    assert "restaurant_id" not in parameters["properties"]
    assert parameters["required"] == ["starts_at", "party_size", "customer_name"]
    assert parameters["properties"]["phone_number"]["pattern"]
    assert "null" not in str(parameters)
    with pytest.raises(CallError, match="the argument restaurant_id of tool book is set already"):
        await tool.call({**TABLE, "restaurant_id": "r2"}, "key")


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        (TEXT, r"the integration communications is not configured: set `integrations\.communications\.baseURL`"),
        (
            {"name": "t", "integration": {"name": "crm", "operation": "create_note", "arguments": {"author": "x"}}},
            "create_note takes no argument author: remove it",
        ),
    ],
)
def test_what_cannot_work_ends_the_start(tool, message, monkeypatch):
    monkeypatch.delenv("COMMUNICATIONS_API_URL", raising=False)
    spec = {
        "workflow": {
            "state": {"x": {"type": "object"}},
            "start": "a",
            "tools": [tool],
            "nodes": [{"name": "a", "uses": "tool", "with": {"tool": tool["name"]}}],
        }
    }
    with pytest.raises(ConfigError, match=message):
        Agent(config(spec), Settings())


async def test_an_own_graph_finds_the_integrations_of_its_agent(monkeypatch, tmp_path):
    (tmp_path / "own_graph_of_links.py").write_text(GRAPH)
    monkeypatch.syspath_prepend(str(tmp_path))
    async with integrations_server(Fault(500, lost=True)) as service:
        spec = {"graph": "own_graph_of_links:graph", "integrations": service.spec("crm", maxAttempts=1)}
        async with running(spec) as agent:
            values = await agent.client.runs.wait(None, "agent", input={"name": "Miller"})
    assert values["record"] == "create_contact-1"
    assert len(service.sent) == 2
    assert len(service.done) == 1


GRAPH = """
from typing import TypedDict

from langgraph.graph import StateGraph
from langgraph.types import RetryPolicy

from agent_runtime.integrations import get_crm_agent


class State(TypedDict, total=False):
    name: str
    record: str


async def keep(state):
    contact = await get_crm_agent().create_contact(last_name=state["name"])
    return {"record": contact.id}


graph = StateGraph(State)
graph.add_node("keep", keep, retry_policy=RetryPolicy(max_attempts=2, initial_interval=0.01, retry_on=lambda _: True))
graph.add_edge("__start__", "keep")
"""
