"""Events from outside, and dead letters, by HTTP."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agent_runtime.events import binding
from agent_runtime.events.binding import BATCHED, STRUCTURED
from agent_runtime.events.event import Event
from fakes.agents import CHAT, ECHO, running
from fakes.authority import swap
from fakes.tool_server import tool_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fakes.agents import RunningAgent
    from fakes.tool_server import ToolServer

KEYS = {"alice": "alices-very-secret-key", "bob": "bobs-very-secret-key-too", "clerk": "clerks-very-secret-key"}
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "7",
    "source": "/tests",
    "type": "order.made",
    "data": {"text": "hello"},
}
PLAIN: dict[str, Any] = {"models": [ECHO], "workflow": CHAT}
QUICK = {"maxAttempts": 1, "backoff": {"initial": "1ms"}}


def pushing(service: ToolServer, **events: Any) -> dict[str, Any]:
    """A spec that pushes all its events to a service."""
    return {**PLAIN, "events": {"sinks": [{"name": "out", "url": f"{service.url}/in", **QUICK}], **events}}


@asynccontextmanager
async def served(
    spec: dict[str, Any], folder: Path
) -> AsyncIterator[tuple[RunningAgent, dict[str, httpx.AsyncClient]]]:
    """An agent, and a client for each caller."""
    swap(folder / "keys", KEYS)
    spec = {**spec, "auth": {"apiKeys": {"secretRef": {"name": "callers"}}}}
    async with running(spec, api_keys_dir=folder / "keys") as it:
        callers = {name: httpx.AsyncClient(base_url=it.url, headers={"x-api-key": key}) for name, key in KEYS.items()}
        try:
            yield it, callers
        finally:
            await asyncio.gather(*(http.aclose() for http in callers.values()))


async def sent(http: httpx.AsyncClient, *events: dict[str, Any], mode: str = "structured") -> httpx.Response:
    if mode == "batched":
        return await http.post("/events", content=json.dumps(events), headers={"content-type": BATCHED})
    (event,) = events
    message = binding.binary(event) if mode == "binary" else binding.structured(event)
    return await http.post("/events", content=message.content, headers=dict(message.headers))


async def pushed(service: ToolServer, count: int) -> list[Event]:
    async with asyncio.timeout(10):
        while len(service.calls) < count:  # noqa: ASYNC110 - polled with a deadline
            await asyncio.sleep(0.01)
    return [Event.of_json(one) for call in service.calls for one in binding.read(call.headers, call.body)]


async def dead(http: httpx.AsyncClient, count: int, **query: Any) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        while True:
            found: list[dict[str, Any]] = (await http.get("/events/dead-letters", params=query)).json()["dead_letters"]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("mode", ["structured", "binary", "batched"])
async def test_an_event_is_accepted_and_gets_to_who_wants_it(mode):
    async with tool_server() as service, running(pushing(service)) as it, httpx.AsyncClient(base_url=it.url) as http:
        answer = await sent(http, EVENT, mode=mode)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
        (event,) = await pushed(service, 1)
    assert (event.id, event.data) == ("7", {"text": "hello"})


async def test_an_event_that_comes_again_is_answered_likewise_and_goes_no_further():
    async with tool_server() as service, running(pushing(service)) as it, httpx.AsyncClient(base_url=it.url) as http:
        answers = [await sent(http, EVENT) for _ in range(3)]
        answers.append(await sent(http, {**EVENT, "id": "8"}))
        assert {(answer.status_code, answer.text) for answer in answers} == {(202, '{"accepted":1}')}
        events = await pushed(service, 2)
    assert sorted(event.id for event in events) == ["7", "8"]


async def test_the_same_id_of_another_caller_is_another_event(tmp_path):
    async with tool_server() as service, served(pushing(service), tmp_path) as (_, callers):
        for name in ("alice", "bob"):
            assert (await sent(callers[name], EVENT)).status_code == 202
        assert len(await pushed(service, 2)) == 2


@pytest.mark.parametrize(
    ("event", "attribute"),
    [
        ({**EVENT, "id": ""}, "id"),
        ({name: value for name, value in EVENT.items() if name != "type"}, "type"),
        ({**EVENT, "source": "two words"}, "source"),
        ({**EVENT, "specversion": "0.3"}, "specversion"),
        ({**EVENT, "time": "yesterday"}, "time"),
        ({**EVENT, "Upper": "x"}, "Upper"),
        ({**EVENT, "data_base64": "?"}, "data_base64"),
        ({**EVENT, "data": "x" * (300 << 10)}, None),
    ],
)
async def test_what_is_no_event_is_a_problem_that_names_the_attribute(event, attribute):
    spec = {**PLAIN, "events": {}}
    async with running(spec) as it, httpx.AsyncClient(base_url=it.url) as http:
        answer = await sent(http, event)
        batch = await sent(http, EVENT, event, mode="batched")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json().get("attribute") == attribute
    assert batch.json().get("attribute") == attribute
    assert batch.json()["event"] == 1
    assert "event 1 of the batch" in batch.json()["detail"]


async def test_of_a_batch_with_a_malformed_event_none_is_accepted():
    async with tool_server() as service, running(pushing(service)) as it, httpx.AsyncClient(base_url=it.url) as http:
        assert (await sent(http, EVENT, {**EVENT, "id": ""}, mode="batched")).status_code == 422
        assert (await sent(http, {**EVENT, "id": "8"}, {**EVENT, "id": "9"}, mode="batched")).json() == {"accepted": 2}
        events = await pushed(service, 2)
        assert (await sent(http, *[EVENT] * 1001, mode="batched")).status_code == 422
    assert sorted(event.id for event in events) == ["8", "9"]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": STRUCTURED}, b"{", 422),
        ({"content-type": "application/json"}, b"{}", 422),
        ({"content-type": "application/cloudevents+xml"}, b"<event/>", 415),
        ({"content-type": STRUCTURED}, b'{"data": "' + b"x" * (2 << 20) + b'"}', 413),
    ],
)
async def test_other_bodies_are_refused(headers, body, status):
    async with (
        running({**PLAIN, "events": {}}, max_body_bytes=1 << 20) as it,
        httpx.AsyncClient(base_url=it.url) as http,
    ):
        answer = await http.post("/events", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_agent_without_events_says_so():
    async with running(PLAIN) as it, httpx.AsyncClient(base_url=it.url) as http:
        answers = [await sent(http, EVENT), await http.options("/events"), await http.get("/events/dead-letters")]
    assert {answer.status_code for answer in answers} == {404}
    assert "its spec has no `events`" in answers[0].json()["detail"]


async def test_nobody_sends_events_without_proof(tmp_path):
    async with served({**PLAIN, "events": {}}, tmp_path) as (it, _), httpx.AsyncClient(base_url=it.url) as http:
        assert (await sent(http, EVENT)).status_code == 401
        assert (await http.get("/events/dead-letters")).status_code == 401


async def test_a_full_log_asks_to_come_again():
    async with tool_server(*[500] * 50) as service:
        spec = pushing(service, maxPending=10)
        async with running(spec) as it, httpx.AsyncClient(base_url=it.url) as http:
            answers = [await sent(http, {**EVENT, "id": str(number)}) for number in range(12)]
            refused = answers[-1]
    assert answers[0].status_code == 202
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert "events.maxPending" in refused.json()["detail"]


async def test_events_count_against_the_rate_limits_once_each():
    spec = {**PLAIN, "events": {}, "rateLimits": {"requestsPerMinute": 3}}
    async with running(spec) as it, httpx.AsyncClient(base_url=it.url) as http:
        same = [await sent(http, EVENT) for _ in range(5)]
        more = [await sent(http, {**EVENT, "id": str(number)}) for number in range(3)]
        metrics = (await http.get("/metrics")).text
    assert {answer.status_code for answer in same} == {202}
    assert [answer.status_code for answer in more] == [202, 202, 429]
    assert int(more[-1].headers["retry-after"]) >= 1
    assert 'apm_agent_rate_limit_checks_total{place="events",result="refused",window="account-minute"} 1.0' in metrics


async def test_a_sender_may_ask_first_whether_events_are_wanted(tmp_path):
    spec = {**PLAIN, "events": {}, "rateLimits": {"requestsPerMinute": 90}}
    async with served(spec, tmp_path) as (it, _), httpx.AsyncClient(base_url=it.url) as http:
        asked = await http.options("/events", headers={"webhook-request-origin": "emitter.example.org"})
        plain = await http.options("/events")
    assert (asked.status_code, asked.headers["allow"]) == (200, "OPTIONS, POST")
    assert asked.headers["webhook-allowed-origin"] == "emitter.example.org"
    assert asked.headers["webhook-allowed-rate"] == "90"
    assert "webhook-allowed-origin" not in plain.headers


async def test_dead_letters_are_for_who_sent_the_event_and_for_stewards(tmp_path):
    async with tool_server(*[400] * 3) as service:
        spec = pushing(service, stewards={"apiKeys": ["clerk"]})
        async with served(spec, tmp_path) as (_, callers):
            alice, bob, clerk = callers["alice"], callers["bob"], callers["clerk"]
            for name in ("1", "2"):
                await sent(alice, {**EVENT, "id": name, "subject": "one"})
            await sent(bob, {**EVENT, "id": "3"})
            assert len(await dead(clerk, 3)) == 3
            (own,) = await dead(bob, 1)
            assert (own["event"]["id"], own["consumer"], own["attempts"]) == ("3", "sink/out", 1)
            assert "refused the request (400)" in own["error"]
            first = (await alice.get("/events/dead-letters", params={"limit": 1})).json()
            second = (await alice.get("/events/dead-letters", params={"limit": 1, "after": first["next"]})).json()
            assert {page["dead_letters"][0]["event"]["id"] for page in (first, second)} == {"1", "2"}
            for answer in (
                await alice.post(f"/events/dead-letters/{own['id']}/replay"),
                await alice.delete(f"/events/dead-letters/{own['id']}"),
            ):
                assert answer.status_code == 404
            assert (await bob.delete(f"/events/dead-letters/{own['id']}")).status_code == 204
            assert (await bob.delete(f"/events/dead-letters/{own['id']}")).status_code == 404
            replayed = await clerk.post("/events/dead-letters/replay", params={"consumer": "sink/out"})
            assert (replayed.status_code, replayed.json()) == (202, {"replayed": 2, "more": False})
            events = await pushed(service, 5)
            assert (await dead(clerk, 0)) == []
    assert sorted(event.id for event in events[3:]) == ["1", "2"]


async def test_one_dead_letter_is_replayed(tmp_path):
    async with tool_server(400) as service, served(pushing(service), tmp_path) as (_, callers):
        await sent(callers["alice"], EVENT)
        (letter,) = await dead(callers["alice"], 1, consumer="sink/out")
        assert (await callers["alice"].post(f"/events/dead-letters/{letter['id']}/replay")).status_code == 202
        await pushed(service, 2)
        again = await callers["alice"].post(f"/events/dead-letters/{letter['id']}/replay")
        assert again.status_code == 404
        said = await callers["alice"].post("/events/dead-letters/replay")
        assert (said.status_code, "consumer=" in said.json()["detail"]) == (422, True)
        gone = await callers["alice"].delete("/events/dead-letters", params={"consumer": "sink/out"})
        assert gone.json() == {"discarded": 0, "more": False}
