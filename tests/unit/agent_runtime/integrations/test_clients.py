"""The clients against a service made from the description, by the names of the seeds."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import product
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agent_runtime import integrations, outbound
from agent_runtime.errors import CallError, CallErrorKind, ConfigError
from agent_runtime.integrations import current
from agent_runtime.integrations.access import Integrations
from agent_runtime.integrations.catalogue import CATALOGUE
from agent_runtime.integrations.metrics import IntegrationMetrics
from agent_runtime.integrations.settings import Place, places
from agent_runtime.spec.integrations import OPERATIONS, VARIABLES, IntegrationsSpec
from fakes.integrations_server import Fault, integrations_server

VALUES = {
    "phone_number": "+49 (30) 123-4567",
    "deal_id": "d-1",
    "note_id": "ü~1",
    "to": "miller@example.org",
    "email": "miller@example.org",
    "channel": "sms",
    "recipient": "+49301234567",
    "starts_at": "2026-12-24T19:00:00+01:00",
    "system": "doctolib",
    "action": "place_order",
    "currency": "EUR",
    "contact_id": "a..b:c%2F",
    "date_of_birth": date(1980, 3, 1),
    "expected_close": date(2026, 12, 24),
    "party_size": 4,
    "amount": 12.5,
    "limit": 3,
    "parameters": {"dishes": [1, 2]},
    "metadata": {"language": "de"},
    "filter": {"language": "de"},
}


@pytest.fixture
def environment(monkeypatch) -> Iterator[Any]:
    """Sets the variables of the seeds to a service's addresses."""

    def configure(service) -> None:
        for name, (url, secret) in VARIABLES.items():
            monkeypatch.setenv(url, service.address(name))
            monkeypatch.setenv(secret, "k-e-y")

    # An agent with a graph of its own that an earlier test made may have left its own.
    monkeypatch.setattr(current, "_of_the_process", [])
    for names in VARIABLES.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)
    return configure


async def test_the_example_of_the_seed(environment):
    async with integrations_server() as service:
        environment(service)
        comm = integrations.get_communications_supervisor()
        result = await comm.send_sms(phone_number="+49123456789", message="Hallo!", account_id="123")
    assert (result.status, result.id) == ("queued", "send_sms-1")
    (sent,) = service.sent
    assert sent.body == {"phone_number": "+49123456789", "message": "Hallo!", "account_id": "123"}
    assert sent.authorization == "Bearer k-e-y"
    assert len(sent.key) == 32


async def test_every_method_of_every_client(environment):
    async with integrations_server() as service:
        environment(service)
        comm, bookings = integrations.get_communications_supervisor(), integrations.get_integration_agent()
        knowledge, crm = integrations.get_knowledge_base_agent(), integrations.get_crm_agent()
        await comm.send_message("email", "a@b.example", "Hello", subject="Greeting", metadata={"case": "7"})
        await comm.send_email("a@b.example", "Greeting", "Hello")
        await comm.make_call("+49 30 123456", "Hello", language="de-DE")
        await comm.send_chat("room-1", "Hello")
        await bookings.execute_integration("toast", "place_order", {"dish": 7}, account_id="123")
        at = datetime(2026, 12, 24, 18, tzinfo=UTC)
        table = await bookings.create_reservation(
            restaurant_id="r1", starts_at=at, party_size=4, customer_name="Miller"
        )
        await bookings.create_appointment(practice_id="p1", starts_at=at, patient_name="Miller", reason="check-up")
        assert await knowledge.search("opening hours", limit=3) == []
        contact = await crm.create_contact(last_name="Miller", email="a@b.example")
        await crm.update_contact(contact.id, company="Miller & Co")
        deal = await crm.create_deal(title="Feast", amount=1200, currency="EUR", contact_id=contact.id)
        await crm.update_deal(deal.id, stage="won")
        note = await crm.create_note("called back", contact_id=contact.id)
        await crm.update_note(note.id, "called back twice")
    assert table.status == "confirmed"
    assert {each.operation for each in service.done} == {name for names in OPERATIONS.values() for name in names} - {
        "send_sms"
    }
    booked = next(each for each in service.done if each.operation == "create_reservation")
    assert booked.path == {"system": "opentable"}
    assert booked.body["starts_at"] == "2026-12-24T18:00:00Z"


@pytest.mark.parametrize("integration", CATALOGUE)
async def test_whatever_is_sent_fits_the_description(environment, integration):
    """Contract: any choice of arguments that the models let pass; the server refuses what is not described."""
    chosen = random.Random(integration)  # noqa: S311 - only a choice
    async with integrations_server() as service:
        environment(service)
        backend = Integrations.configured().backend(integration)
        for operation, number in product(CATALOGUE[integration], range(30)):
            given = {
                name: VALUES.get(name, "some text")
                for name, field in operation.arguments.model_fields.items()
                if field.is_required() or chosen.random() < 0.5
            }
            if given.get("subject"):
                given |= {"channel": "email"} if "channel" in given else {}
            answer = await backend.perform(operation, operation.arguments.model_validate(given), f"key-{number}")
            assert isinstance(answer, operation.answer)
    assert len(service.done) == 30 * len(CATALOGUE[integration])


def test_the_spec_lists_the_operations_that_there_are():
    assert {name: tuple(each.name for each in found) for name, found in CATALOGUE.items()} == dict(OPERATIONS)


@pytest.mark.parametrize(
    ("faults", "attempts"),
    [
        ([Fault(429, "0"), Fault(500), Fault(503, "0")], 4),
        ([Fault(500, lost=True)], 2),
        ([Fault(delay=1), Fault(502)], 3),
    ],
)
async def test_calls_are_repeated_with_the_same_key_and_done_once(faults, attempts):
    async with integrations_server(*faults) as service, outbound.client() as http:
        spec = IntegrationsSpec.model_validate(service.spec(timeout="300ms"))
        agent = Integrations(spec, {}, http=http).communications
        await agent.send_chat("room", "Hello")
    assert len(service.sent) == attempts
    assert len(service.done) == 1
    assert len({each.key for each in service.sent}) == 1


@pytest.mark.parametrize(
    ("faults", "kind", "message"),
    [
        ([Fault(401)], CallErrorKind.AUTHENTICATION, "integration communications refused the credentials"),
        ([Fault(404)], CallErrorKind.REFUSED, r"refused the request \(404\)"),
        ([Fault(429, "3600")], CallErrorKind.RATE_LIMIT, "allows no more requests now"),
        ([Fault(body=b"<html>")], CallErrorKind.BAD_ANSWER, "it is no JSON"),
        ([Fault(body=b'{"id": "x", "status": "gone"}')], CallErrorKind.BAD_ANSWER, "status: Input should be"),
        ([Fault(500)] * 4, CallErrorKind.SERVER, r"failed \(500\)"),
    ],
)
async def test_failures_are_told_without_what_the_service_said(faults, kind, message):
    async with integrations_server(*faults) as service:
        spec = IntegrationsSpec.model_validate(service.spec())
        with pytest.raises(CallError, match=message) as caught:
            await Integrations(spec, {}).communications.send_sms("+4930123456", "Hello")
    assert caught.value.kind is kind
    assert "secret-of-the-service" not in str(caught.value)
    assert len(service.sent) == len(faults)


async def test_two_calls_outside_a_run_are_two(environment):
    async with integrations_server() as service:
        environment(service)
        for key in (None, None, "mine", "mine"):
            await integrations.get_crm_agent().create_note("same words", deal_id="d", idempotency_key=key)
    assert len(service.done) == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda some: some.communications.send_sms("030 1234", "Hello"), r"send_sms can't be done: phone_number: "),
        (lambda some: some.communications.send_email("nobody", "s", "b"), "to: "),
        (lambda some: some.communications.send_message("sms", "+49301", "x", subject="y"), "only an email has"),
        (lambda some: some.bookings.create_reservation(party_size=2), "restaurant_id: Field required; starts_at: "),
        (
            lambda some: some.bookings.create_appointment(practice_id="p", starts_at="2026-12-24", patient_name="n"),
            "starts_at: Input should have timezone info",
        ),
        (lambda some: some.bookings.execute_integration("../crm", "x"), "system: String should match pattern"),
        (lambda some: some.bookings.execute_integration("toast", "x", {"dish": "\ud83d"}), "text that is no Unicode"),
        (lambda some: some.communications.send_chat("room", "\ud83d"), "message: Input should be a valid string"),
        (lambda some: some.crm.update_contact("..", company="x"), "contact_id of update_contact can't be '..'"),
        (lambda some: some.crm.update_contact("a/b", company="x"), "contact_id: String should match pattern"),
        (lambda some: some.crm.create_contact(last_name="x", phone="1"), "phone: Extra inputs are not permitted"),
    ],
)
async def test_wrong_arguments_are_refused_and_nothing_is_sent(call, message):
    async with integrations_server() as service:
        some = Integrations(IntegrationsSpec.model_validate(service.spec()), {})
        with pytest.raises(CallError, match=message) as caught:
            await call(some)
    assert caught.value.kind is CallErrorKind.REFUSED
    assert service.sent == []


@pytest.mark.usefixtures("environment")
def test_an_integration_that_is_not_configured_says_what_to_set():
    for ask, field, variable in (
        (integrations.get_communications_supervisor, "communications", "COMMUNICATIONS_API_URL"),
        (integrations.get_integration_agent, "bookings", "INTEGRATION_API_URL"),
        (integrations.get_knowledge_base_agent, "knowledgeBase", "KNOWLEDGE_BASE_API_URL"),
        (integrations.get_crm_agent, "crm", "CRM_API_URL"),
    ):
        with pytest.raises(ConfigError, match=rf"set `integrations\.{field}\.baseURL` in the spec, or .* {variable}"):
            ask()


async def test_a_key_goes_only_to_the_address_beside_it(tmp_path):
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "key").write_text("of-the-spec\n")
    ref = {"name": "crm", "key": "key"}
    async with integrations_server() as service:
        elsewhere = {"crm": Place("http://elsewhere.invalid", "of-the-environment")}
        for spec in (service.spec("crm", apiKeySecretRef=ref), service.spec("crm")):
            some = Integrations(IntegrationsSpec.model_validate(spec), elsewhere, secrets=outbound.Secrets(tmp_path))
            await some.crm.create_contact(last_name="Miller")
    assert [each.authorization for each in service.sent] == ["Bearer of-the-spec", None]


@pytest.mark.parametrize(
    ("environ", "message"),
    [({"CRM_API_URL": "crm.example"}, "CRM_API_URL"), ({"INTEGRATION_API_URL": "file:///x"}, "INTEGRATION_API_URL")],
)
def test_a_variable_that_is_no_address(environ, message):
    with pytest.raises(ConfigError, match=rf"{message} is no http or https address"):
        places(environ)


async def test_a_key_with_a_line_break_is_not_sent():
    async with integrations_server() as service:
        some = Integrations(None, {"crm": Place(service.address("crm"), "a\nb: c")})
        with pytest.raises(CallError, match="CRM_API_KEY holds blanks"):
            await some.crm.create_contact(last_name="Miller")
    assert service.sent == []


async def test_a_service_that_keeps_failing_is_left_alone():
    async with integrations_server(*[Fault(500)] * 9) as service:
        spec = service.spec("crm", maxAttempts=1, breaker={"failureThreshold": 3, "timeout": "60s"})
        crm = Integrations(IntegrationsSpec.model_validate(spec), {}).crm
        for _ in range(5):
            with pytest.raises(CallError):
                await crm.create_contact(last_name="Miller")
    assert len(service.sent) == 3


async def test_operations_are_counted_once_whatever_becomes_of_them():
    registry = CollectorRegistry()
    async with integrations_server(Fault(503, "0"), Fault(), Fault(404)) as service:
        spec = IntegrationsSpec.model_validate(service.spec("crm"))
        crm = Integrations(spec, {}, metrics=IntegrationMetrics(registry)).crm
        await crm.create_contact(last_name="Miller")
        with pytest.raises(CallError):
            await crm.update_contact("c1", company="x")

    def count(operation: str, result: str) -> float | None:
        labels = {"integration": "crm", "operation": operation, "result": result}
        return registry.get_sample_value("apm_agent_integration_calls_total", labels)

    assert (count("create_contact", "success"), count("update_contact", "Refused")) == (1, 1)
    assert registry.get_sample_value("apm_agent_integration_call_duration_seconds_count", {"integration": "crm"}) == 2
