"""The examples do what they say, in the runtime itself, without MongoDB."""

import json
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from httpx import AsyncClient, HTTPStatusError

from agent_runtime.integrations.knowledge.base import EVERYBODY
from agent_runtime.integrations.knowledge.document import Document
from agent_runtime.spec.agent import AgentSpec
from cluster.settings import REPOSITORY
from fakes.agents import RunningAgent, last_text, person, running
from fakes.events import eventually
from fakes.integrations_server import IntegrationsServer, integrations_server
from fakes.openai_server import Answer, Fault, openai_server

EXAMPLES = REPOSITORY / "examples"
IN_MEMORY = {field.alias or name for name, field in AgentSpec.model_fields.items()} - {"state", "auth"}


def spec_of(file: Path) -> dict[str, Any]:
    """What pods of an example read, with its state in memory, and open to everybody."""
    spec = yaml.safe_load(file.read_text())["spec"]
    return {name: value for name, value in spec.items() if name in IN_MEMORY} | {"auth": {"anonymous": True}}


async def answers(agent: RunningAgent, lines: Iterable[str]) -> list[str]:
    """What the agent answers to each line of one conversation."""
    thread = (await agent.client.threads.create())["thread_id"]
    return [last_text(await agent.client.runs.wait(thread, "agent", input=person(line))) for line in lines]


@pytest.mark.parametrize(
    ("pattern", "conversation"),
    [
        ("sequential", {"go": "A letter in three parts (greeting, offer, farewell)."}),
        ("parallel", {"go": "Legal: no objection. Purchasing: five per cent too high."}),
        ("map-reduce", {"go": "Answers from 3 warehouses."}),
        ("evaluator-loop", {"go": "Our slogan: Good food, warm welcome."}),
        ("router", {"my invoice": "This is the billing desk.", "it is broken": "This is the repair desk."}),
        ("supervisor", {"go": "Report: demand grows by a third."}),
        (
            "hand-over",
            {
                "hello": "Good day. Would you like to buy something, or is something broken?",
                "I buy": "Sales here. What would you like?",
            },
        ),
    ],
)
async def test_a_pattern(pattern, conversation):
    async with running(spec_of(EXAMPLES / "patterns" / f"{pattern}.yaml")) as agent:
        assert await answers(agent, conversation) == list(conversation.values())


async def test_a_booking_is_handed_over_and_goes_on():
    host = spec_of(EXAMPLES / "restaurant-voice-host.yaml")
    async with running(host, name="restaurant-voice-host") as other:
        peers = {"restaurant-voice-host": other.url}
        async with running(spec_of(EXAMPLES / "support-triage.yaml"), name="support-triage", peers=peers) as agent:
            given = await answers(
                agent,
                [
                    "I have a question about my invoice.",
                    "I would like to book a table for four.",
                    "Friday at 19:00, please.",
                    "My name is Miller.",
                ],
            )
    assert "billing team" in given[0]
    assert "at what time" in given[1]
    assert "which name" in given[2]
    for part in ("table for four", "Friday at 19:00", "name is Miller"):
        assert part in given[3]


async def test_a_customer_is_told_when_the_other_agent_is_away():
    peers = {"restaurant-voice-host": "http://127.0.0.1:9"}
    async with running(spec_of(EXAMPLES / "support-triage.yaml"), peers=peers) as agent:
        (given,) = await answers(agent, ["A table for two, please."])
    assert given.startswith("Our restaurant cannot be reached")


async def test_an_order_is_closed_when_its_payment_comes():
    spec = spec_of(EXAMPLES / "order-desk.yaml")
    async with running(spec, name="order-desk") as agent:
        url = f"{agent.url}/events"
        async with AsyncClient() as http:
            for kind, data in (("order.made", {"total": 20}), ("payment.received", {"amount": 5})):
                event = {"specversion": "1.0", "id": kind, "source": "/t", "type": f"com.example.{kind}"}
                assert (await http.post(url, json={**event, "subject": "7", "data": data}, headers=EVENT)).is_success
            await eventually(lambda: agent.client.threads.search(status="interrupted"))
            last = {**event, "id": "rest", "subject": "7", "data": {"amount": 20}}
            assert (await http.post(url, json=last, headers=EVENT)).is_success
        (thread,) = await eventually(lambda: agent.client.threads.search(status="idle"))
        values = (await agent.client.threads.get_state(thread["thread_id"]))["values"]
    assert values["result"] == "paid"
    assert values["payment"]["id"] == "rest"


EVENT = {"content-type": "application/cloudevents+json"}
SERVICE_KEY = "key-of-the-services"
APOLOGY = "Nobody can take this just now. Please try again in a few minutes."


def with_services(file: Path, service: IntegrationsServer) -> dict[str, Any]:
    """What pods of an example read, with the test's service in place of those in the cluster."""
    spec = spec_of(file)
    for name, integration in spec["integrations"].items():
        integration["baseURL"] = service.address(name)
    return spec


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "integrations").mkdir()
    (tmp_path / "integrations" / "api-key").write_text(SERVICE_KEY)
    return tmp_path


async def test_an_appointment_at_the_doctors(secrets):
    async with integrations_server(create_appointment={"status": "declined"}) as service:
        spec = with_services(EXAMPLES / "doctor-appointments.yaml", service)
        async with running(spec, secrets=secrets) as agent:
            thread = (await agent.client.threads.create())["thread_id"]
            lines = (
                "An appointment, please.",
                "My name is Anna Miller.",
                "On 2026-12-24 at 10:30.",
                "It is +49301234567.",
            )
            given = [last_text(await agent.client.runs.wait(thread, "agent", input=person(line))) for line in lines]
            assert [text.split(".")[0].split("?")[0] for text in given] == [
                "With pleasure",
                "Thank you",
                "Thank you",
                "I am sorry, this time is taken",
            ]
            service.answers.clear()
            booked = last_text(await agent.client.runs.wait(thread, "agent", input=person("Then 2026-12-28 at 09:00")))
    assert booked == "Your appointment is booked, and you get a confirmation by SMS."
    *_, appointment, message = service.done
    assert appointment.path == {"system": "doctolib"}
    assert appointment.body == {
        "practice_id": "valeo-practice",
        "starts_at": "2026-12-28T09:00:00+01:00",
        "patient_name": "Anna Miller",
    }
    assert message.body["phone_number"] == "+49301234567"
    assert {each.authorization for each in service.sent} == {f"Bearer {SERVICE_KEY}"}


@pytest.mark.parametrize("status", ["confirmed", "pending"])
async def test_an_appointment_is_made_once_whatever_is_said_after_it(status, secrets):
    async with integrations_server(create_appointment={"status": status}) as service:
        spec = with_services(EXAMPLES / "doctor-appointments.yaml", service)
        async with running(spec, secrets=secrets) as agent:
            *_, last = await answers(
                agent, ["Hello. My name is Anna Miller, my number is +49301234567", "2026-07-01 at 09:00", "Thank you!"]
            )
    assert last.startswith("Your appointment is noted already")
    (appointment,) = [each for each in service.done if each.operation == "create_appointment"]
    assert appointment.body == {
        "practice_id": "valeo-practice",
        "starts_at": "2026-07-01T09:00:00+02:00",
        "patient_name": "Anna Miller",
    }


async def test_a_contact_that_is_not_whole_is_asked_for(secrets):
    async with integrations_server() as service:
        spec = with_services(EXAMPLES / "customer-records.yaml", service)
        async with running(spec, secrets=secrets) as agent:
            (given,) = await answers(agent, ["New contact Anna Miller"])
    assert given == "Please write it as: New contact Anna Miller anna@example.org"
    assert service.done == []


async def test_customers_are_kept(secrets):
    async with integrations_server() as service:
        spec = with_services(EXAMPLES / "customer-records.yaml", service)
        async with running(spec, secrets=secrets) as agent:
            lines = ["New contact Anna Miller anna@example.org", "A deal about a feast.", "Miller called back."]
            assert await answers(agent, lines) == ["Noted."] * 3
    assert [each.operation for each in service.done] == ["create_contact", "create_deal", "create_note"]
    assert service.done[0].body == {
        "first_name": "Anna",
        "last_name": "Miller",
        "email": "anna@example.org",
        "account_id": "valeo",
    }


@pytest.mark.parametrize("name", ["doctor-appointments", "customer-records"])
async def test_customers_are_told_when_a_service_is_away(name, secrets):
    async with integrations_server() as service:
        spec = with_services(EXAMPLES / f"{name}.yaml", service)
    for integration in spec["integrations"].values():
        integration |= {"baseURL": "http://127.0.0.1:9", "maxAttempts": 1}
    async with running(spec, secrets=secrets) as agent:
        given = await answers(agent, ["My name is Anna Miller.", "2026-12-24 at 10:30", "+49301234567"])
    assert given[-1].startswith(("Appointments cannot be booked right now", "Nothing was kept"))


async def test_questions_about_the_house(database, mongodb_uri, secrets):
    (secrets / "apm-mongodb").mkdir()
    (secrets / "apm-mongodb" / "uri").write_text(mongodb_uri)
    state = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}}
    async with running(spec_of(EXAMPLES / "house-guide.yaml") | {"state": state}, secrets=secrets) as agent:
        assert await answers(agent, ["Where do we park?"]) == ["I do not know that. Please ask our staff."]
        texts = {"hours": "We are open from 11:00 to 22:00.", "parking": "Guests park behind the house."}
        await agent.agent.knowledge.load([Document(id=name, text=text) for name, text in texts.items()], EVERYBODY)
        assert await answers(agent, ["Where do we park?", "When do you open?"]) == [texts["parking"], texts["hours"]]
        assert await answers(agent, ["Is there vegan food?", ""]) == [
            "I do not know that. Please ask our staff.",
            "I cannot look that up right now. Please ask our staff.",
        ]


@asynccontextmanager
async def desks(**replies: str) -> AsyncIterator[dict[str, str]]:
    """The agents behind an orchestrator, each of which says who it is."""
    async with AsyncExitStack() as stack:
        names = ("support-triage", "restaurant-voice-host", "doctor-appointments", "customer-records", "house-guide")
        peers = {}
        for name in names:
            spec = {
                "models": [
                    {"name": "default", "provider": "scripted", "script": [{"reply": f"{name}: {{{{ last }}}}"}]}
                ],
                "workflow": {"start": "a", "nodes": [{"name": "a", "uses": "model", "next": "end"}]},
            }
            peers[name] = (await stack.enter_async_context(running(spec, name=name))).url
        yield peers | replies


CONVERSATION = {
    "Hello there": "support-triage",
    "I need an appointment": "doctor-appointments",
    "On Monday at 9": "doctor-appointments",
    "A table for two": "restaurant-voice-host",
    "for 19:00": "restaurant-voice-host",
    "Where may I park?": "house-guide",
    "New contact Anna Miller anna@example.org": "customer-records",
    "My invoice is wrong": "support-triage",
}


@pytest.mark.parametrize("name", ["llm-orchestrator", "rule-orchestrator"])
async def test_an_orchestrator_asks_who_knows(name):
    async with desks() as peers, running(spec_of(EXAMPLES / f"{name}.yaml"), name=name, peers=peers) as agent:
        given = await answers(agent, CONVERSATION)
    assert given == [f"{desk}: {line}" for line, desk in CONVERSATION.items()]


@pytest.mark.parametrize("name", ["llm-orchestrator", "rule-orchestrator"])
async def test_an_orchestrator_says_when_nobody_can_be_asked(name):
    spec = spec_of(EXAMPLES / f"{name}.yaml")
    async with (
        desks(**{"doctor-appointments": "http://127.0.0.1:9"}) as peers,
        running(spec, name=name, peers=peers) as agent,
    ):
        assert await answers(agent, ["I need a doctor"]) == [APOLOGY]


@pytest.mark.parametrize("name", ["llm-orchestrator", "rule-orchestrator"])
async def test_rate_limits_are_checked_before_routing(name):
    spec = spec_of(EXAMPLES / f"{name}.yaml")
    spec["rateLimits"] |= {"requestsPerMinute": 3}
    async with desks() as peers, running(spec, name=name, peers=peers) as agent:
        assert await answers(agent, ["Hello there"]) == ["support-triage: Hello there"]
        with pytest.raises(HTTPStatusError, match="429") as caught:
            await answers(agent, ["Hello there"] * 3)
    assert int(caught.value.response.headers["retry-after"]) > 0


async def test_a_real_model_decides_or_support_takes_it():
    def decided(agent: str) -> Answer:
        return Answer(json.dumps({"agent": agent, "reason": "x"}))

    spec = spec_of(EXAMPLES / "llm-orchestrator.yaml")
    replies = [
        decided("crm_agent"),
        decided("an_agent_that_is_not_there"),
        Answer("I think it is about a table"),
        Fault(400),
    ]
    async with openai_server(*replies) as model, desks() as peers:
        router = {"name": "router", "provider": "openai", "model": "m", "baseURL": model.url, "maxAttempts": 1}
        async with running(spec | {"models": [router]}, name="llm-orchestrator", peers=peers) as agent:
            given = await answers(agent, ["one", "two", "three", "four"])
    assert given == ["customer-records: one", *(f"support-triage: {line}" for line in ("two", "three", "four"))]
    assert "goes on with crm_agent" in model.requests[1]["messages"][0]["content"]
    assert model.requests[0]["response_format"]["json_schema"]["schema"]["properties"]["agent"]["enum"]


async def test_an_own_graph(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "own-graph"))
    try:
        async with running(spec_of(EXAMPLES / "own-graph" / "agent.yaml")) as agent:
            given = await answers(agent, ["the sea", "mountains"])
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "travel"]:
            del sys.modules[name]
    assert given == ["Noted as wish number 1: the sea", "Noted as wish number 2: mountains"]


async def test_a_large_refund_waits_for_a_manager():
    auth = {"anonymous": True, "apiKeys": {"secretRef": {"name": "callers"}}}
    async with running(spec_of(EXAMPLES / "refund-approval.yaml") | {"auth": auth}) as agent:
        small = await agent.client.runs.wait(None, "agent", input={"order": "1", "amount": 5.5})
        assert last_text(small) == "Your refund for order 1 is on its way."
        thread = (await agent.client.threads.create())["thread_id"]
        asked = await agent.client.runs.wait(thread, "agent", input={"order": "2", "amount": 500})
        assert asked["__interrupt__"][0]["value"]["ask"] == "Refund 500 for order 2?"
        answer = {"choice": "reject", "reason": "Too late."}
        refused = await agent.client.runs.wait(thread, "agent", command={"resume": answer})
        assert last_text(refused) == "We cannot refund order 2. Too late."
