"""CloudEvents in HTTP messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.events import binding
from agent_runtime.events.binding import BATCHED, STRUCTURED, UnknownFormatError
from agent_runtime.events.errors import MalformedEventError

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A234-1234-1234",
    "source": "/orders/desk",
    "type": "com.example.order.made",
    "time": "2026-04-05T17:31:00Z",
    "subject": 'Euro € 😀 "100%"',
    "datacontenttype": "application/json",
    "comexampleextension": "value",
    "data": {"much": [1, 2.5, None, True], "name": "Zoë"},
}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in EVENT.items() if name not in names}


def test_an_event_is_the_same_when_it_was_sent_as_a_whole():
    message = binding.structured(EVENT)
    assert message.headers == {"content-type": STRUCTURED}
    assert binding.read(message.headers, message.content) == [EVENT]


@pytest.mark.parametrize(
    "event",
    [
        EVENT,
        without("data"),
        without("subject"),
        {**EVENT, "data": []},
        {**EVENT, "data": "text"},
        {**EVENT, "data": 0},
        {**EVENT, "datacontenttype": "application/vnd.example+json; charset=utf-8"},
        {**EVENT, "datacontenttype": "text/xml", "data": "<much wow='é'/>"},
        {**without("data"), "datacontenttype": "image/png", "data_base64": "iVBORw0KGgo="},
        {**without("data"), "datacontenttype": "text/plain; charset=utf-16", "data_base64": "//5hAA=="},
    ],
)
def test_an_event_is_the_same_when_it_was_sent_as_headers_and_data(event):
    message = binding.binary(event)
    assert all(" " not in value and value.isascii() for name, value in message.headers.items() if name[:3] == "ce-")
    assert binding.read(message.headers, message.content) == [event]


def test_data_without_a_type_is_json():
    message = binding.binary(without("datacontenttype"))
    assert message.headers["content-type"] == "application/json"
    assert json.loads(message.content) == EVENT["data"]


def test_values_of_other_types_are_written_as_the_specification_says():
    message = binding.binary({**without("data"), "urgent": True, "sequence": 7, "none": None})
    assert (message.headers["ce-urgent"], message.headers["ce-sequence"]) == ("true", "7")
    assert "ce-none" not in message.headers


def test_a_subject_is_percent_encoded():
    assert binding.binary(EVENT).headers["ce-subject"] == "Euro%20%E2%82%AC%20%F0%9F%98%80%20%22100%25%22"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("%41b%c3%a9", "Abé"),
        ('"two words"', "two words"),
        (r'"a \"quoted\" %20 word"', 'a "quoted"   word'),
        ('"', '"'),
        ("plus+stays", "plus+stays"),
        (" around ", "around"),
        ("Zoë".encode().decode("latin-1"), "Zoë"),
    ],
)
def test_headers_of_all_senders_are_understood(header, value):
    headers = {**binding.binary(without("data")).headers, "ce-subject": header}
    assert binding.read(headers, b"")[0]["subject"] == value


def test_a_batch_is_read_in_its_order():
    events = [EVENT, {**EVENT, "id": "2"}]
    assert binding.read({"content-type": f"{BATCHED}; charset=UTF-8"}, json.dumps(events).encode()) == events
    assert binding.read({"content-type": BATCHED}, b"[]") == []


@pytest.mark.parametrize(
    ("headers", "body", "attribute", "told"),
    [
        ({"content-type": STRUCTURED}, b"{", "", "the body is no JSON"),
        ({"content-type": STRUCTURED}, b"", "", "no JSON"),
        ({"content-type": STRUCTURED}, b"[]", "", "an event must be a JSON object"),
        ({"content-type": STRUCTURED}, b'{"data": ' + b"[" * 70 + b"]" * 70 + b"}", "", "levels"),
        ({"content-type": BATCHED}, b"{}", "", "array"),
        ({"content-type": BATCHED}, b"[{}, 1]", "", "event 1 of the batch"),
        ({"content-type": "application/json"}, b"{}", "", "this is no event"),
        ({}, b"", "", "this is no event"),
        ({"ce-id": "1", "content-type": "application/json"}, b"{", "data", "`data` is no JSON"),
        ({"ce-id": "1", "content-type": "text/plain"}, b"\xff", "data", "UTF-8"),
        ({"ce-id": "%C0%A0"}, b"", "id", "UTF-8"),
        ({"ce-id": "1", "ce-datacontenttype": "text/plain"}, b"", "datacontenttype", "remove ce-datacontenttype"),
        ({"ce-id": "1", "ce-data": "3"}, b"", "data", "remove ce-data"),
    ],
)
def test_what_is_no_event_is_told_with_what_is_wrong(headers, body, attribute, told):
    with pytest.raises(MalformedEventError, match=told) as caught:
        binding.read(headers, body)
    assert caught.value.attribute == attribute


@pytest.mark.parametrize(
    "content_type", ["application/cloudevents+xml", "application/cloudevents", f"{STRUCTURED}; charset=utf-16"]
)
def test_other_formats_are_not_read(content_type):
    with pytest.raises(UnknownFormatError, match=r"is not read|are not read"):
        binding.read({"content-type": content_type}, b"{}")
