from __future__ import annotations

import pytest

from agent_runtime.errors import InputError
from agent_runtime.events.event import LARGEST, Event, is_json

GIVEN = {
    "specversion": "1.0",
    "id": "1",
    "source": "/shop",
    "type": "com.example.order",
    "subject": "order 7",
    "time": "2026-01-31T12:00:00Z",
    "datacontenttype": "application/json",
    "dataschema": "https://example.org/order",
    "tenant": "a",
    "count": 3,
    "urgent": True,
    "data": {"total": 3.5},
}


def test_json_comes_back_as_it_came() -> None:
    assert Event.of_json(GIVEN).as_json == GIVEN


def test_bytes_travel_as_base64() -> None:
    event = Event.of_json({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": "AAE="})
    assert event.data == b"\x00\x01"
    assert event.as_json["data_base64"] == "AAE="


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": None}, "specversion"),
        ({"id": ""}, "id"),
        ({"id": None}, "id"),
        ({"source": "with space"}, "source"),
        ({"type": "line\nbreak"}, "type"),
        ({"subject": ""}, "subject"),
        ({"time": "yesterday"}, "time"),
        ({"time": 5}, "time"),
        ({"Upper": "x"}, "Upper"),
        ({"with-dash": "x"}, "with-dash"),
        ({"count": 1 << 31}, "count"),
        ({"count": 1.5}, "count"),
        ({"tenant": {"a": 1}}, "tenant"),
        ({"apmhops": -1}, "apmhops"),
        ({"apmhops": "many"}, "apmhops"),
        ({"apmhops": True}, "apmhops"),
        ({"data_base64": "AAE="}, "either"),
        ({"data": None, "data_base64": "?"}, "data_base64"),
        ({"data": "x" * (LARGEST + 1)}, "larger"),
    ],
)
def test_what_is_no_event_is_told(changes: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Event.of_json({**GIVEN, **changes})


def test_no_object_is_no_event() -> None:
    with pytest.raises(InputError, match="object"):
        Event.of_json([GIVEN])


def test_deep_data_is_refused() -> None:
    data: list[object] = []
    for _ in range(100):
        data = [data]
    with pytest.raises(InputError, match="levels"):
        Event.of_json({**GIVEN, "data": data})


def test_hops_of_a_header_count() -> None:
    assert Event.of_json({**GIVEN, "apmhops": "3"}).hops == 3
    assert Event.of_json(GIVEN).hops == 0


@pytest.mark.parametrize(
    ("content_type", "json"),
    [
        (None, True),
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("application/vnd.x+json", True),
        ("text/plain", False),
        ("application/octet-stream", False),
    ],
)
def test_content_types(content_type: str | None, json: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    assert is_json(content_type) is json
