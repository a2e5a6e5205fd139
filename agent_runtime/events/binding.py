"""CloudEvents 1.0 in HTTP messages: each event as the object that the JSON format makes of it.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import orjson

from agent_runtime import plain
from agent_runtime.errors import InputError
from agent_runtime.events.errors import MalformedEventError
from agent_runtime.runs.encode import dumps

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
MEDIA_TYPES = (STRUCTURED, BATCHED)

_OURS = "application/cloudevents"
_PREFIX = "ce-"
_BODY = ("data", "data_base64")
_KEPT_AS_IT_IS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_JSON = re.compile(r"[a-z0-9!#$&^_.-]+/([a-z0-9!#$&^_.-]+\+)?json")
_DEEPEST = plain.DEEPEST + 2
"""An event, and a batch, stand around what may be as deep as other requests."""
_ESCAPED = re.compile(r"\\(.)")


class UnknownFormatError(InputError):
    """Events in a format that is not read."""


@dataclass(frozen=True)
class Message:
    """What an event is sent as."""

    headers: Mapping[str, str]
    content: bytes


def read(headers: Mapping[str, str], body: bytes) -> list[dict[str, Any]]:
    """The events of a message; `headers` have names in lower case.

    Raises:
        MalformedEventError: The message can't be read as events.
        UnknownFormatError: The events are in a format other than JSON.
    """
    content_type = headers.get("content-type", "")
    match _media_type(content_type):
        case media if media == STRUCTURED:
            return [_object(_parsed(body, content_type))]
        case media if media == BATCHED:
            events = _parsed(body, content_type)
            if not isinstance(events, list):
                raise MalformedEventError("a batch must be a JSON array of events")
            return [_object(event, number) for number, event in enumerate(events)]
        case media if media.startswith(_OURS):
            raise UnknownFormatError(f"events as {media} are not read: send {STRUCTURED}, {BATCHED}, or binary mode")
        case media:
            return [_binary(headers, body, media)]


def is_batch(headers: Mapping[str, str]) -> bool:
    """Whether a message holds several events, or one as if there were several."""
    return _media_type(headers.get("content-type", "")) == BATCHED


def structured(event: Mapping[str, Any]) -> Message:
    """An event as a whole."""
    return Message({"content-type": STRUCTURED}, dumps(dict(event)))


def binary(event: Mapping[str, Any]) -> Message:
    """An event with its attributes as headers."""
    content_type = str(event.get("datacontenttype") or "application/json")
    headers = {
        f"{_PREFIX}{name}": quote(_canonical(value), safe=_KEPT_AS_IT_IS)
        for name, value in event.items()
        if name not in _BODY and name != "datacontenttype" and value is not None
    }
    if encoded := event.get("data_base64"):
        return Message({**headers, "content-type": content_type}, b64decode(encoded))
    data = event.get("data")
    if data is None:
        about = {"content-type": content_type} if event.get("datacontenttype") else {}
        return Message({**headers, **about}, b"")
    as_text = isinstance(data, str) and not _JSON.fullmatch(_media_type(content_type))
    content = data.encode(errors="replace") if as_text else dumps(data)
    return Message({**headers, "content-type": content_type}, content)


def _binary(headers: Mapping[str, str], body: bytes, media: str) -> dict[str, Any]:
    event: dict[str, Any] = {
        name.removeprefix(_PREFIX): _decoded(name.removeprefix(_PREFIX), value)
        for name, value in headers.items()
        if name.startswith(_PREFIX)
    }
    if not event:
        raise MalformedEventError(
            f"this is no event: send {STRUCTURED}, {BATCHED}, or the attributes as headers that begin with ce-"
        )
    for name in ("datacontenttype", *_BODY):
        if name in event:
            raise MalformedEventError(f"`{name}` is no header of an event: remove ce-{name}", name)
    if media:
        event["datacontenttype"] = headers["content-type"]
    if not body:
        return event
    if not media or _JSON.fullmatch(media):
        return {**event, "data": _parsed(body, headers.get("content-type", ""), "data")}
    if media.startswith("text/") and _charset(headers["content-type"]) in {"", "utf-8", "us-ascii"}:
        try:
            return {**event, "data": body.decode()}
        except UnicodeDecodeError:
            raise MalformedEventError("`data` must be text in UTF-8", "data") from None
    return {**event, "data_base64": b64encode(body).decode()}


def _parsed(body: bytes, content_type: str, attribute: str = "") -> Any:
    if _charset(content_type) not in {"", "utf-8", "us-ascii"}:
        raise UnknownFormatError(f"JSON as {_charset(content_type)} is not read: send UTF-8")
    what = f"`{attribute}`" if attribute else "the body"
    try:
        value = orjson.loads(body)
    except ValueError as error:
        raise MalformedEventError(f"{what} is no JSON: {error}", attribute) from None
    if plain.deeper(value, _DEEPEST):
        raise MalformedEventError(f"{what} has more than {_DEEPEST} levels of lists and objects", attribute)
    return value


def _object(value: Any, number: int | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedEventError("an event must be a JSON object", number=number)
    return value


def _decoded(attribute: str, value: str) -> str:
    """A header's value, which older senders quote, and others write with percent signs."""
    text = value.strip()
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        text = _ESCAPED.sub(r"\1", text[1:-1])
    try:
        # Servers hand headers over as Latin-1, whatever they hold.
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeError:
        told = f"`{attribute}` is no UTF-8: write it with percent signs, as RFC 3986 says"
        raise MalformedEventError(told, attribute) from None


def _canonical(value: Any) -> str:
    """https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type-system."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _charset(content_type: str) -> str:
    found = re.search(r";\s*charset=\"?([^\";\s]+)", content_type, re.IGNORECASE)
    return found[1].lower() if found else ""
