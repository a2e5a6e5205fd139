from __future__ import annotations

import re
from typing import Any

import pytest

from apm_operator.api.union import tagged


def variant(description: str, **fields: dict[str, Any]) -> dict[str, Any]:
    described = {name: {"description": f"The {name}.", **field} for name, field in fields.items()}
    return {
        "description": description,
        "properties": {"name": {"type": "string"}, "with": {"type": "object", "properties": described}},
    }


def test_a_pattern_of_one_variant_does_not_bind_the_others():
    variants = {
        "emit": variant("Emits.", type={"type": "string", "pattern": '^[a-z"]+$'}),
        "wait": variant("Waits.", type={"type": "string"}),
    }
    schema = tagged("uses", variants)
    assert "pattern" not in schema["properties"]["with"]["properties"]["type"]
    (rule,) = [rule for rule in schema["x-kubernetes-validations"] if "matches" in rule["rule"]]
    assert rule["rule"] == (
        'self.uses != \'emit\' || !has(self.with) || !has(self.with.type) || self.with.type.matches("^[a-z\\"]+$")'
    )


def test_a_pattern_that_all_variants_share_is_the_fields():
    field = {"type": "string", "pattern": "^[a-z]+$"}
    schema = tagged("uses", {"emit": variant("Emits.", type=field), "wait": variant("Waits.", type=field)})
    assert schema["properties"]["with"]["properties"]["type"]["pattern"] == "^[a-z]+$"
    assert not [rule for rule in schema["x-kubernetes-validations"] if "matches" in rule["rule"]]


def test_a_field_that_differs_otherwise_is_told():
    variants = {
        "emit": variant("Emits.", type={"type": "string", "maxLength": 1}),
        "wait": variant("Waits.", type={"type": "string", "maxLength": 2}),
    }
    with pytest.raises(ValueError, match=re.escape("a field that differs in maxLength")):
        tagged("uses", variants)
