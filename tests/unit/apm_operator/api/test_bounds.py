"""Everything in the CRD has a bound, so that no resource makes the operator or a pod work without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apm_operator.api.crd import KINDS, crd

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMAS = {kind.kind: crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for kind in KINDS}
OPEN = {
    "affinity",  # Kubernetes' own type, checked when the pods' Deployment is written
    "answer",  # an answer to an approval
    "arguments",  # JSON of a scripted tool call
    "default",  # JSON of a channel
    "input",  # JSON of a state
    "next",  # several forms, checked by rules and by the models
    "output",  # a JSON Schema
    "parameters",  # a JSON Schema
    "schema",  # a JSON Schema
    "start",  # a name or a list of names
}
"""Fields of any content. An object has at most some MB (the API server's limit of a request), and the operator refuses
more than 64 levels."""
FIXED = {".apiVersion", ".kind"}
"""The API server compares them."""


def unbounded(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of texts, lists, maps and open objects that may be of any size."""
    kind = schema.get("type")
    if kind == "string" and not schema.keys() & {"maxLength", "enum"} and schema.get("format") != "date-time":
        yield path
    if kind == "array" and "maxItems" not in schema:
        yield path
    if "additionalProperties" in schema and "maxProperties" not in schema:
        yield path
    if schema.get("x-kubernetes-int-or-string") and "maxLength" not in str(schema):
        yield path
    if schema.get("x-kubernetes-preserve-unknown-fields") and path.rpartition(".")[2] not in OPEN:
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from unbounded(child, f"{path}.{name}")
    for part, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(part), dict):
            yield from unbounded(schema[part], path + mark)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_everything_has_a_bound(kind):
    assert set(unbounded(SCHEMAS[kind])) - FIXED == set()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "array", "items": {"type": "integer"}},
        {"type": "array", "maxItems": 3, "items": {"type": "string"}},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "maxProperties": 3, "additionalProperties": {"type": "string"}},
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"x-kubernetes-int-or-string": True},
    ],
)
def test_what_has_no_bound_is_found(schema):
    assert list(unbounded(schema, ".spec.x"))


def test_no_field_is_open_without_need():
    found = str(SCHEMAS)
    assert [name for name in OPEN if f"'{name}': {{" not in found] == []
