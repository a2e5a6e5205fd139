"""What an integration can be asked to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

from agent_runtime.spec.integrations import IntegrationName

A = TypeVar("A", bound="Answer")
A_co = TypeVar("A_co", bound="Answer", covariant=True)

_HOLE = re.compile(r"\{(\w+)\}")
_FILLING = re.compile(r"[\s().\-/]+")


class Arguments(BaseModel):
    """Base of what an operation is asked with; what is not known is refused, so that a slip is seen."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Answer(BaseModel):
    """Base of what an operation answers; fields that newer services add are let through unseen."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _dialled(value: Any) -> Any:
    """A phone number without what people write between its digits."""
    return _FILLING.sub("", value) if isinstance(value, str) else value


Identifier = Annotated[str, StringConstraints(min_length=1, max_length=253)]
RecordId = Annotated[str, StringConstraints(pattern=r"^[^/\\?#\s]+$", max_length=253)]
"""An id that stands in a path: most servers take a slash for a part of it, however it is written."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Page = Annotated[str, StringConstraints(min_length=1, max_length=200_000)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=500)]
PhoneNumber = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{4,14}$"), BeforeValidator(_dialled)]
"""A number as ITU-T E.164 writes it, with `+` and the country's code."""
EmailAddress = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=320)]
MetadataName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Metadata = dict[MetadataName, Annotated[str, StringConstraints(max_length=500)]]


@dataclass(frozen=True)
class Operation(Generic[A_co]):
    """A request that an integration's service answers; `path` may hold `{argument}`."""

    integration: IntegrationName
    name: str
    method: Literal["POST", "PATCH"]
    path: str
    description: str
    arguments: type[Arguments]
    answer: type[A_co]
    changes: bool = True
    """Whether it changes something, so that a repeated call has to be told from a new one."""

    @cached_property
    def in_path(self) -> tuple[str, ...]:
        """The arguments that the path takes; the others are the body."""
        return tuple(_HOLE.findall(self.path))

    def parameters(self) -> dict[str, Any]:
        """JSON Schema of the arguments, as models are offered it: without the `null` of what may be left out."""
        schema: dict[str, Any] = plain_schema(self.arguments.model_json_schema())
        schema.pop("title", None)
        return schema


def plain_schema(schema: Any) -> Any:
    """A schema of pydantic's without `null`, which is never sent, and without titles that repeat names."""
    if isinstance(schema, list):
        return [plain_schema(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: value for name, value in schema.items() if not (name == "default" and value is None)}
    choices = [each for each in kept.pop("anyOf", ()) if each != {"type": "null"}]
    if len(choices) == 1:
        kept = {**choices[0], **kept}
    elif choices:
        kept["anyOf"] = choices
    if "properties" in kept:
        kept["properties"] = {
            name: {key: value for key, value in plain_schema(each).items() if key != "title"}
            for name, each in kept["properties"].items()
        }
    return {name: value if name == "properties" else plain_schema(value) for name, value in kept.items()}
