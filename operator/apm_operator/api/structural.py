"""JSON Schema of pydantic -> structural schema of Kubernetes.

A structural schema has no references, one type per field, and no union of types; see "Specifying a structural
schema" in the Kubernetes documentation of custom resources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from apm_operator.api import union
from apm_operator.api.rule import Rule
from apm_operator.api.rules import RULES

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema: TypeAlias = dict[str, Any]

_KEPT = (
    "description", "type", "format", "default", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "minProperties", "maxProperties", "required",
    "anyOf", "x-kubernetes-int-or-string",
)  # fmt: skip
_LIST_KEYS = {"Condition": "type", "JWTIssuer": "issuer"}
_ALSO_REQUIRED = {"ForEach": ("max",)}
"""Fields that the models leave optional only to explain their absence better."""
_REPEATABLE = {"ScriptedToolCall"}
"""Models with a name that need not be unique in a list."""


def structural(model: type[BaseModel]) -> Schema:
    """The schema of a model as the API server takes it, in a CRD."""
    document = model.model_json_schema(by_alias=True)
    return _Converter(document.pop("$defs", {})).convert(document)


def validations(rules: Iterable[Rule]) -> list[Schema]:
    """Rules as `x-kubernetes-validations` lists them."""
    return [{"rule": rule.rule, "message": rule.message} for rule in rules]


class _Converter:
    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def convert(self, schema: Schema) -> Schema:
        schema = self._resolve(schema)
        union_of = schema.get("oneOf", schema.get("anyOf"))
        if "discriminator" in schema:
            return self._tagged(schema)
        if union_of and "x-kubernetes-int-or-string" not in schema:
            variants = [self.convert(variant) for variant in union_of]
            return _own(schema) | union.untyped(variants)
        result = _own(schema)
        if "const" in schema:
            result["enum"] = [schema["const"]]
        if "properties" in schema:
            result["properties"] = {name: self.convert(field) for name, field in schema["properties"].items()}
        result["required"] = [*schema.get("required", []), *_ALSO_REQUIRED.get(schema.get("title", ""), ())]
        if not result["required"]:
            del result["required"]
        values = _values(schema)
        if values is not None:
            result["additionalProperties"] = self.convert(values)
        elif _open(schema):
            result["x-kubernetes-preserve-unknown-fields"] = True
        if "items" in schema:
            result["items"] = self.convert(schema["items"])
            result |= self._list_type(schema["items"], result["items"])
        # A list has its field's name as title, which may be that of some model.
        rules = RULES.get(schema.get("title", ""), ()) if "items" not in schema else ()
        if rules := (*rules, *_key_rules(schema)):
            result["x-kubernetes-validations"] = validations(rules)
        return result

    def _resolve(self, schema: Schema) -> Schema:
        """Follow a reference, and take `null` out of a union: an absent field says the same."""
        if "$ref" in schema:
            target = self._definitions[schema["$ref"].removeprefix("#/$defs/")]
            return self._resolve(target | {key: value for key, value in schema.items() if key != "$ref"})
        variants = schema.get("anyOf", [])
        others = [variant for variant in variants if variant.get("type") != "null"]
        if len(others) == len(variants):
            return schema
        outer = {key: value for key, value in schema.items() if key not in {"anyOf", "title"}}
        return self._resolve(others[0] | outer) if len(others) == 1 else schema | {"anyOf": others}

    def _tagged(self, schema: Schema) -> Schema:
        tag = schema["discriminator"]["propertyName"]
        variants = {
            name: self.convert({"$ref": reference}) for name, reference in schema["discriminator"]["mapping"].items()
        }
        merged = union.tagged(tag, variants)
        merged["x-kubernetes-validations"] += validations(RULES["NodeBase"])
        return _own(schema) | merged

    def _list_type(self, items: Schema, converted: Schema) -> Schema:
        if converted.get("type") != "object":
            return {"x-kubernetes-list-type": "set"} if converted.get("type") == "string" else {}
        name = items.get("$ref", "").removeprefix("#/$defs/")
        key = _LIST_KEYS.get(name, "name")
        if key in converted.get("required", []) and name not in _REPEATABLE:
            return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
        return {"x-kubernetes-list-type": "atomic"}


def _own(schema: Schema) -> Schema:
    """What the schema says itself, without defaults that say no more than absence does."""
    kept = {key: schema[key] for key in _KEPT if key in schema}
    if isinstance(kept.get("default"), dict):
        kept["default"] = {name: value for name, value in kept["default"].items() if value is not None}
    if kept.get("default") in (None, "", [], {}):
        kept.pop("default", None)
    if "x-kubernetes-int-or-string" not in schema:
        kept.pop("anyOf", None)
    return kept


def _key_rules(schema: Schema) -> list[Rule]:
    """What a map's keys must look like; a structural schema has no other way to say it."""
    return [
        Rule(f"self.all(key, key.matches('{pattern}'))", f"each key must match `{pattern}`: rename it")
        for pattern in schema.get("patternProperties", {})
    ]


def _values(schema: Schema) -> Schema | None:
    """The schema of a map's values."""
    by_pattern = schema.get("patternProperties")
    if by_pattern:
        return next(iter(by_pattern.values()))  # type: ignore[no-any-return]
    values = schema.get("additionalProperties")
    return values if isinstance(values, dict) and values else None


def _open(schema: Schema) -> bool:
    """Whether any value is allowed: a JSON Schema, arguments of a call."""
    if "x-kubernetes-int-or-string" in schema:
        return False
    return "type" not in schema or schema.get("additionalProperties") is True
