"""An event, as CloudEvents 1.0 says."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from agent_runtime.events.errors import MalformedEventError
from agent_runtime.plain import DEEPEST, deeper
from agent_runtime.spec.size import exceeds

SPEC_VERSION = "1.0"
HOPS = "apmhops"
"""Extension: how many agents an event has caused each other's events since somebody outside began."""
LARGEST = 256 << 10
"""Bytes of an event. CloudEvents asks everybody to forward at least 64 KiB."""

_PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"
_URI = r"^[!-~]*$"
_EXTENSION = re.compile(r"^[a-z0-9]{1,36}$")
_CORE = {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"}
_JSON = re.compile(r"^(application|text)/([\w.+-]+\+)?json\s*(;|$)", re.IGNORECASE)
_INTEGERS = range(-(1 << 31), 1 << 31)

Attribute = Annotated[str, StringConstraints(pattern=_PLAIN, min_length=1, max_length=1024)]


def _moment(value: Any) -> Any:
    if isinstance(value, str | datetime):
        return value
    raise ValueError("must be a time such as 2026-01-31T12:00:00Z")


class Event(BaseModel):
    """One event. `data` is plain data, text, or bytes where `datacontenttype` is neither JSON nor text.

    `extensions` are all other attributes: text, integers of 32 bits and truth values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=_PLAIN, min_length=1, max_length=256)]
    source: Annotated[str, StringConstraints(pattern=_URI, min_length=1, max_length=1024)]
    type: Annotated[str, StringConstraints(pattern=_PLAIN, min_length=1, max_length=256)]
    subject: Attribute | None = None
    time: Annotated[AwareDatetime, BeforeValidator(_moment)] | None = None
    datacontenttype: Attribute | None = None
    dataschema: Annotated[str, StringConstraints(pattern=_URI, min_length=1, max_length=1024)] | None = None
    data: Any = None
    extensions: dict[str, str | int | bool] = Field(default_factory=dict)

    @classmethod
    def of(cls, attributes: dict[str, Any], data: Any = None) -> Self:
        """An event of its attributes, extensions among them, as they stand in JSON or in headers.

        Raises:
            MalformedEventError: An attribute is missing or not valid, or the event is too large.
        """
        if attributes.get("specversion") != SPEC_VERSION:
            raise MalformedEventError(f"`specversion` must be {SPEC_VERSION!r}", "specversion")
        core = {name: value for name, value in attributes.items() if name in _CORE and name != "specversion"}
        extensions = {name: _extension(name, value) for name, value in attributes.items() if name not in _CORE}
        try:
            event = cls(**core, data=data, extensions={k: v for k, v in extensions.items() if v is not None})
        except ValidationError as error:
            wrong = error.errors()[0]
            name = str(wrong["loc"][0])
            raise MalformedEventError(f"`{name}`: {wrong['msg']}", name) from None
        if deeper(data, DEEPEST):
            raise MalformedEventError(f"`data` has more than {DEEPEST} levels", "data")
        if exceeds([*event.attributes.values(), data], LARGEST):
            raise MalformedEventError(f"the event is larger than {LARGEST} bytes")
        return event

    @classmethod
    def of_json(cls, value: Any) -> Self:
        """An event in the JSON format, as structured mode has it. Raises MalformedEventError."""
        if not isinstance(value, dict):
            raise MalformedEventError("an event must be a JSON object")
        attributes = dict(value)
        data, encoded = attributes.pop("data", None), attributes.pop("data_base64", None)
        if encoded is not None:
            if data is not None:
                raise MalformedEventError("set either `data` or `data_base64`", "data_base64")
            try:
                data = b64decode(encoded, validate=True)
            except (ValueError, TypeError):
                raise MalformedEventError("`data_base64` is not valid", "data_base64") from None
        return cls.of(attributes, data)

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes that are set, extensions among them, as in JSON; without the data."""
        found = self.model_dump(mode="json", exclude={"data", "extensions"}, exclude_none=True)
        return {"specversion": SPEC_VERSION, **found, **self.extensions}

    @property
    def as_json(self) -> dict[str, Any]:
        """The event in the JSON format."""
        if isinstance(self.data, bytes):
            return {**self.attributes, "data_base64": b64encode(self.data).decode()}
        return self.attributes if self.data is None else {**self.attributes, "data": self.data}

    @property
    def hops(self) -> int:
        """How many agents have caused each other's events up to this one."""
        count = self.extensions.get(HOPS, 0)
        return count if isinstance(count, int) else 0

    @property
    def traceparent(self) -> str | None:
        """The trace that the event belongs to, as the extension for distributed tracing has it."""
        trace = self.extensions.get("traceparent")
        return trace if isinstance(trace, str) else None


def is_json(content_type: str | None) -> bool:
    """Whether data of this type is JSON; without a type it is."""
    return content_type is None or _JSON.match(content_type) is not None


def _extension(name: str, value: Any) -> str | int | bool | None:
    if not _EXTENSION.match(name):
        raise MalformedEventError(f"`{name}`: names of attributes have lower-case letters and digits only", name)
    if name == HOPS:
        return _hops(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value in _INTEGERS:
        return value
    if isinstance(value, str) and len(value) <= LARGEST and re.match(_PLAIN, value):
        return value
    told = f"`{name}` must be text without control characters, an integer of 32 bits, true or false"
    raise MalformedEventError(told, name)


def _hops(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
        return int(value)  # from a header, where all is text
    if isinstance(value, int) and not isinstance(value, bool) and value in range(1 << 31):
        return value
    raise MalformedEventError(f"`{HOPS}` must be an integer, and not negative", HOPS)
