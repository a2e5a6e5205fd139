"""Events of CloudEvents' own library: those it sends are taken, and those that a sink pushes it reads."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_http_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent

from fakes.agents import CHAT, ECHO, running
from fakes.tool_server import tool_server

ATTRIBUTES: dict[str, Any] = {
    "id": "Ä 7",
    "source": "https://shop.example/desk?x=1",
    "type": "com.example.order.made",
    "subject": 'Zoë "100%" 😀',
    "time": datetime(2026, 4, 5, 17, 31, 0, 250_000, UTC),
    "datacontenttype": "application/json",
    "dataschema": "https://shop.example/order.json",
    "comexampletenant": "a b",
}


@pytest.mark.parametrize("pushed", ["structured", "binary"])
@pytest.mark.parametrize("write", [to_structured_event, to_binary_event], ids=["structured", "binary"])
@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/json", {"total": 20.5, "note": "Zoë"}),
        ("application/vnd.example+json", {"total": 20}),
        ("text/plain; charset=utf-8", "Zoë"),
        ("image/png", b"\x89PNG\r\n\x1a\n\xff"),
        ("application/json", None),
    ],
)
async def test_an_event_is_the_same_at_its_end(pushed, write, content_type, data):
    given = CloudEvent({**ATTRIBUTES, "datacontenttype": content_type}, data)
    message = write(given)
    async with tool_server() as service:
        sink = {"name": "out", "url": service.url, "mode": pushed}
        spec = {"models": [ECHO], "workflow": CHAT, "events": {"sinks": [sink]}}
        async with running(spec) as it, httpx.AsyncClient(base_url=it.url) as http:
            answer = await http.post("/events", headers=message.headers, content=message.body)
            assert answer.status_code == 202, answer.text
            async with asyncio.timeout(10):
                while not service.calls:  # noqa: ASYNC110 - polled with a deadline
                    await asyncio.sleep(0.01)
    (call,) = service.calls
    got = from_http_event(HTTPMessage(_event_headers(call.headers), call.body))
    hops = {"apmhops": 1 if pushed == "structured" else "1"}
    assert got.get_attributes() == {**given.get_attributes(), **hops}
    assert got.get_data() == data


def _event_headers(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("ce-") or name == "content-type"}
