from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apm_operator.api.crd import KINDS, crd

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = crd(KINDS[0])["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
SPEC = SCHEMA["properties"]["spec"]["properties"]


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from fields(schema[key], path + mark)


def every_schema(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    children = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for child in children:
        if child is not None:
            yield from every_schema(child)


def test_every_field_has_a_description():
    # The API server fills in metadata's own schema.
    undescribed = [path for path, field in fields(SCHEMA) if path != ".metadata" and not field.get("description")]
    assert undescribed == []


def test_is_structural():
    for schema in every_schema(SCHEMA):
        assert not {"$ref", "$defs", "oneOf", "title", "const", "patternProperties", "nullable"} & schema.keys()
        loose = {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"}
        assert "type" in schema or loose & schema.keys()
        assert not {"properties", "additionalProperties"} <= schema.keys()


def test_every_list_of_the_spec_is_bounded():
    unbounded = [
        path
        for path, field in fields(SCHEMA["properties"]["spec"])
        if field.get("type") == "array" and "maxItems" not in field
    ]
    assert unbounded == []


def test_named_lists_are_maps():
    keys = {
        path: field["x-kubernetes-list-map-keys"]
        for path, field in fields(SCHEMA)
        if "x-kubernetes-list-map-keys" in field
    }
    assert keys[".spec.models"] == keys[".spec.workflow.nodes"] == keys[".spec.env"] == ["name"]
    assert keys[".status.conditions"] == ["type"]
    assert not any("toolCalls" in path for path in keys)


def test_steps_of_all_kinds_are_one_object():
    node = SPEC["workflow"]["properties"]["nodes"]["items"]
    assert node["properties"]["uses"]["enum"] == [
        "agent",
        "approval",
        "emit",
        "model",
        "set",
        "tool",
        "wait",
        "workflow",
    ]
    assert {"prompt", "values", "tool", "ref"} <= node["properties"]["with"]["properties"].keys()
    # A default would be set where the field has no meaning.
    assert not any("default" in field for field in node["properties"]["with"]["properties"].values())


def test_free_form_fields_keep_what_is_written():
    tool = SPEC["workflow"]["properties"]["tools"]["items"]["properties"]
    assert tool["parameters"]["x-kubernetes-preserve-unknown-fields"] is True
    assert SPEC["affinity"]["x-kubernetes-preserve-unknown-fields"] is True


def test_subresources_and_columns():
    assert VERSION["subresources"]["scale"]["labelSelectorPath"] == ".status.selector"
    shown = [column["name"] for column in VERSION["additionalPrinterColumns"] if not column.get("priority")]
    assert shown == ["Ready", "Reason", "Replicas", "Pods", "Model", "Age"]
