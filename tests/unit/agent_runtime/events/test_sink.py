"""Sinks: what is sent, and what becomes of the other side's answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent_runtime import outbound
from agent_runtime.errors import CallError, TooManyRequestsError, UnavailableError
from agent_runtime.events import binding
from agent_runtime.events.errors import RefusedError
from agent_runtime.events.event import Event
from agent_runtime.events.match import Match
from agent_runtime.events.records import Entry
from agent_runtime.events.sink import Sink
from agent_runtime.resilience.breakers import Breakers
from agent_runtime.spec.sinks import SinkSpec
from agent_runtime.workflow.peer import MAX_HOPS
from fakes.tool_server import tool_server

if TYPE_CHECKING:
    from fakes.tool_server import Call

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EVENT = {
    "specversion": "1.0",
    "id": "7",
    "source": "/tests/desk",
    "type": "order.made",
    "subject": "Zoë",
    "time": "2026-04-05T17:31:00Z",
    "traceparent": TRACE,
    "data": {"n": 1},
}
QUICK = {"backoff": {"initial": "1ms", "max": "1ms", "jitter": False}}
NOWHERE = Path("/nonexistent")


@pytest.fixture
async def http():
    async with outbound.client() as client:
        yield client


def sink(http: Any, url: str, secrets: Path = NOWHERE, *, agent: str | None = None, **parts: Any) -> Sink:
    place = {"agent": agent} if agent else {"url": url}
    spec = SinkSpec.model_validate({"name": "out", **place, **QUICK, **parts})
    guard = Breakers().guard(spec.dependency, spec.breaker)
    return Sink(spec, Match(), url, http, outbound.Secrets(secrets), guard)


def entry(**more: Any) -> Entry:
    return Entry(Event.of_json({**EVENT, **more}), "apiKey|alice")


def received(call: Call) -> dict[str, Any]:
    """The event that was sent."""
    (event,) = binding.read(call.headers, call.body)
    return event


@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("data", [{"n": 1}, None, "text", [1, 2]])
async def test_an_event_keeps_its_id_and_is_one_hop_further(http, mode, data):
    async with tool_server() as service:
        await sink(http, f"{service.url}/in", mode=mode, headers={"X-Team": "shop"}).deliver(entry(data=data))
    (call,) = service.calls
    assert (call.method, call.path, call.headers["x-team"]) == ("POST", "/in", "shop")
    assert call.headers["traceparent"] == TRACE
    got = Event.of_json(received(call))
    assert (got.id, got.source, got.subject, got.data, got.hops) == ("7", "/tests/desk", "Zoë", data, 1)


async def test_secrets_are_sent_and_the_body_is_signed(http, tmp_path):
    for key, value in {"token": "t-1234567", "api": "k-1234567", "sign": "of-the-hooks"}.items():
        (tmp_path / "hooks").mkdir(exist_ok=True)
        (tmp_path / "hooks" / key).write_text(value)
    refs = {
        name: {"name": "hooks", "key": key}
        for name, key in (
            ("bearerTokenSecretRef", "token"),
            ("apiKeySecretRef", "api"),
            ("signingKeySecretRef", "sign"),
        )
    }
    given = entry()
    async with tool_server() as service:
        await sink(http, service.url, tmp_path, apiKeyHeader="X-Key", **refs).deliver(given)
    headers = service.calls[0].headers
    assert (headers["authorization"], headers["x-key"]) == ("Bearer t-1234567", "k-1234567")
    assert headers["webhook-id"] == given.key
    signed = f"{given.key}.{headers['webhook-timestamp']}.".encode() + service.calls[0].body
    digest = base64.b64encode(hmac.new(b"of-the-hooks", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"


async def test_what_may_pass_is_tried_again_and_then_waits_for_the_next_delivery(http):
    async with tool_server(503, 408, 500) as service:
        with pytest.raises(CallError, match="sink out failed"):
            await sink(http, service.url).deliver(entry())
        await sink(http, service.url).deliver(entry())
    assert len(service.calls) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 415, 422, 302])
async def test_a_refusal_is_final(http, status):
    async with tool_server(status) as service:
        with pytest.raises(RefusedError, match=str(status)):
            await sink(http, service.url).deliver(entry())
    assert len(service.calls) == 1


async def test_a_pause_that_is_asked_for_is_told(http, monkeypatch):
    monkeypatch.setattr(outbound, "_retry_after", lambda _: 30.0)
    async with tool_server(429) as service:
        with pytest.raises(TooManyRequestsError) as caught:
            await sink(http, service.url).deliver(entry())
    assert caught.value.retry_after == 30.0
    assert len(service.calls) == 1, "the pause is longer than a delivery may take"


async def test_an_agent_that_does_not_know_the_sink_yet_is_tried_again(http):
    async with tool_server(403) as service:
        with pytest.raises(CallError, match=r"agent bar refused the credentials.*agents prove who they are by TLS"):
            await sink(http, f"{service.url}/events", agent="bar").deliver(entry())


async def test_an_agent_whose_pods_take_no_events_yet_is_tried_again(http):
    async with tool_server(404) as service:
        pushing = sink(http, f"{service.url}/events", agent="bar")
        with pytest.raises(CallError, match="its spec has to have `events`"):
            await pushing.deliver(entry())
        await pushing.deliver(entry())
    assert len(service.calls) == 2


async def test_an_agent_that_takes_tls_only_is_not_called_without():
    with pytest.raises(RefusedError, match=r"set the same `tls\.mode`"):
        await sink(None, "https://bar.shop.svc:8443/events", agent="bar").deliver(entry())


async def test_a_loop_of_sinks_ends(http):
    async with tool_server() as service:
        await sink(http, service.url).deliver(entry(apmhops=MAX_HOPS - 1))
        with pytest.raises(RefusedError, match="look for a loop of sinks"):
            await sink(http, service.url).deliver(entry(apmhops=MAX_HOPS))
    assert [received(call)["apmhops"] for call in service.calls] == [MAX_HOPS]


async def test_an_agents_own_event_has_gone_no_further_than_when_it_was_emitted(http):
    async with tool_server() as service:
        own = replace(sink(http, service.url), source=EVENT["source"])
        await own.deliver(entry(apmhops=3))
    assert received(service.calls[0])["apmhops"] == 3


async def test_an_open_breaker_puts_the_event_off(http):
    async with tool_server(500, 500) as service:
        failing = sink(http, service.url, maxAttempts=1, breaker={"failureThreshold": 2})
        for _ in range(2):
            with pytest.raises(CallError):
                await failing.deliver(entry())
        with pytest.raises(UnavailableError):
            await failing.deliver(entry())
    assert len(service.calls) == 2


async def test_a_secret_that_is_missing_is_waited_for(http):
    ref = {"name": "hooks", "key": "token"}
    with pytest.raises(CallError, match="Secret hooks has no value for the key token"):
        await sink(http, "http://127.0.0.1:1", bearerTokenSecretRef=ref).deliver(entry())


async def test_names_that_lead_to_addresses_nobody_may_reach_are_refused(http, monkeypatch):
    async def look_up(*_: Any, **__: Any) -> list[Any]:
        return [(None, None, None, None, ("169.254.169.254", 80))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    with pytest.raises(RefusedError, match="nothing was sent"):
        await sink(http, "http://hooks.example/latest").deliver(entry())


@pytest.mark.parametrize(
    ("type_", "source", "text", "fits"),
    [
        (None, None, None, True),
        ("order.made", None, None, True),
        ("order.*", "/tests/*", None, True),
        ("order.made.*", None, None, False),
        ("order", None, None, False),
        (None, "/tests/bar", None, False),
        (None, None, "event.data.n == 1 && event.subject == 'Zoë'", True),
        (None, None, "event.data.n > 1", False),
        (None, None, "event.data.lost.deep == 1", False),
        (None, None, "event.data.n", False),
    ],
)
async def test_only_what_is_wanted_is_pushed(type_, source, text, fits):
    match = Match.of(type_, source, text, lambda: None)
    assert await match.fits(entry().event) is fits
