"""Unions, as far as a structural schema can express them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from json import dumps
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

_PARAMETERS = "with"


def untyped(variants: Sequence[Schema]) -> Schema:
    """A value of one of several types.

    The field has no type, so each bound applies to values of its own type only: `pattern` to texts, `items` to
    lists, `properties` to objects. CEL can't see such a field.
    """
    merged: Schema = {"x-kubernetes-preserve-unknown-fields": True}
    objects = []
    for variant in variants:
        match variant["type"]:
            case "string":
                merged |= {key: variant[key] for key in ("pattern", "maxLength") if key in variant}
            case "array":
                merged |= {key: variant[key] for key in ("minItems", "maxItems", "items") if key in variant}
            case "object":
                objects.append(variant)
    if objects:
        # Objects only: a text or a list fulfils any `required`.
        merged["anyOf"] = [shape for variant in objects for shape in _shapes(variant)]
        merged["properties"] = _shared(objects)
    return merged


def _shapes(variant: Schema) -> Iterator[Schema]:
    """What makes an object this variant: one shape for each choice of its optional fields.

    A field that no variant has can't be forbidden where the type is open, but fields can be counted.
    Bounds are repeated, since the API server reports on the variant that fits most.
    """
    bounds = {
        name: {key: schema[key] for key in ("pattern", "minLength", "minItems", "minimum") if key in schema}
        for name, schema in variant["properties"].items()
    }
    required = variant["required"]
    optional = [name for name in variant["properties"] if name not in required]
    for number in range(len(optional) + 1):
        for chosen in combinations(optional, number):
            names = [*required, *chosen]
            yield {
                "required": names,
                "maxProperties": len(names),
                "properties": {name: bounds[name] for name in names},
            }


def _shared(objects: Sequence[Schema]) -> dict[str, Schema]:
    """The fields of all objects; one with a default in some of them has none, since it would turn up in the others."""
    fields: dict[str, Schema] = {}
    for variant in objects:
        for name, schema in variant["properties"].items():
            fields.setdefault(name, {key: value for key, value in schema.items() if key != "default"})
    return fields


def tagged(tag: str, variants: Mapping[str, Schema]) -> Schema:
    """One object for all variants, with rules that say which parameters belong to which variant.

    The variants differ in the tag's value and in the object `with`; all else is common to them.
    """
    first = next(iter(variants.values()))
    properties = dict(first["properties"])
    properties[tag] = {
        "description": "Kind of the step: " + "; ".join(
            f"`{name}` {_lower(variant['description']).rstrip('.')}" for name, variant in variants.items()
        ) + ".",
        "type": "string",
        "enum": list(variants),
    }  # fmt: skip
    parameters = {name: variant["properties"][_PARAMETERS] for name, variant in variants.items()}
    properties[_PARAMETERS] = {
        "description": "Parameters of the step; which ones have a meaning depends on `uses`.",
        "type": "object",
        "properties": _merge(parameters),
    }
    return {
        "type": "object",
        "required": ["name", tag],
        "properties": {name: properties[name] for name in ("name", tag, _PARAMETERS, *first["properties"])},
        "x-kubernetes-validations": [
            *_required(tag, parameters),
            *_meaningless(tag, parameters),
            *_narrower(tag, parameters),
        ],
    }


def _merge(parameters: Mapping[str, Schema]) -> dict[str, Schema]:
    """The fields of all variants; where several have a field, its description says which means what."""
    merged: dict[str, Schema] = {}
    for field in _fields(parameters):
        owners = {name: schema["properties"][field] for name, schema in parameters.items() if _has(schema, field)}
        shown: dict[str, list[str]] = {}
        for name, schema in owners.items():
            shown.setdefault(_description(schema), []).append(name)
        text = " ".join(f"For {_either(names, 'and')}: {meaning}" for meaning, names in shown.items())
        schema = _common(list(owners.values()))
        if "default" in schema and len(owners) == 1:
            text += f" Default: `{schema['default']}`."
        # A default would be set for every variant, also for those that have no such field.
        merged[field] = {key: value for key, value in schema.items() if key != "default"} | {"description": text}
    return merged


def _common(schemas: Sequence[Schema]) -> Schema:
    """What holds for a field in all variants that have it; they may differ in their patterns.

    Raises:
        ValueError: They differ in something else, for which no rule is made.
    """
    first = schemas[0]
    apart = {key for schema in schemas for key in schema.keys() | first.keys() if schema.get(key) != first.get(key)}
    if unruly := apart - {"pattern", "description", "default"}:
        raise ValueError(f"variants of a union have a field that differs in {', '.join(sorted(unruly))}")
    return {key: value for key, value in first.items() if key not in apart & {"pattern"}}


def _narrower(tag: str, parameters: Mapping[str, Schema]) -> Iterator[Schema]:
    """Rules for the patterns that a field has in some variants only."""
    for field in _fields(parameters):
        owners = {name: schema["properties"][field] for name, schema in parameters.items() if _has(schema, field)}
        if len({schema.get("pattern") for schema in owners.values()}) == 1:
            continue
        for name, schema in owners.items():
            if "pattern" in schema:
                path = f"{_PARAMETERS}.{field}"
                yield {
                    "rule": f"self.{tag} != '{name}' || !has(self.{_PARAMETERS}) || !has(self.{path}) || "
                    f"self.{path}.matches({dumps(schema['pattern'])})",
                    "message": f"`{path}` of a step whose `{tag}` is `{name}` should match {schema['pattern']}",
                }


def _required(tag: str, parameters: Mapping[str, Schema]) -> list[Schema]:
    return [
        {
            "rule": f"self.{tag} != '{name}' || (has(self.{_PARAMETERS}) && has(self.{_PARAMETERS}.{field}))",
            "message": f"set `{_PARAMETERS}.{field}`, since `{tag}` is `{name}`: "
            f"{_lower(_description(schema['properties'][field])).rstrip('.')}",
        }
        for name, schema in parameters.items()
        for field in schema.get("required", [])
    ]


def _meaningless(tag: str, parameters: Mapping[str, Schema]) -> list[Schema]:
    rules = []
    for field in _fields(parameters):
        owners = [name for name, schema in parameters.items() if _has(schema, field)]
        if len(owners) < len(parameters):
            rules.append(
                {
                    "rule": f"!has(self.{_PARAMETERS}) || !has(self.{_PARAMETERS}.{field}) || self.{tag} in {owners!r}",
                    "message": f"`{_PARAMETERS}.{field}` has a meaning only where `{tag}` is "
                    f"{_either(owners, 'or')}: remove it",
                }
            )
    return rules


def _fields(parameters: Mapping[str, Schema]) -> list[str]:
    return list({field: None for schema in parameters.values() for field in schema["properties"]})


def _has(schema: Schema, field: str) -> bool:
    return field in schema["properties"]


def _description(schema: Schema) -> str:
    """What a field is for; each has a description, as a test makes sure."""
    return str(schema["description"])


def _either(names: Sequence[str] | Mapping[str, Schema], word: str) -> str:
    quoted = [f"`{name}`" for name in names]
    return f" {word} ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


def _lower(text: str) -> str:
    return text[0].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text
