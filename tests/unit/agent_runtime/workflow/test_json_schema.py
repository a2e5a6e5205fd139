"""Values of models are checked against schemas of strangers, and neither keeps the pod busy."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from agent_runtime.errors import ConfigError
from agent_runtime.workflow.json_schema import Schema

BACKTRACKING = "^([a-z0-9]+)+@x$"
GREEDY: dict[str, tuple[dict[str, Any], Any]] = {
    "a pattern": ({"properties": {"a": {"pattern": BACKTRACKING}}}, {"a": "a" * 60 + "!"}),
    "a pattern of names": ({"patternProperties": {BACKTRACKING: {}}}, {"a" * 60 + "!": 1}),
    "names beyond a pattern": (
        {"patternProperties": {BACKTRACKING: {}}, "additionalProperties": False},
        {"a" * 60 + "!": 1},
    ),
    "names by a pattern": ({"propertyNames": {"pattern": BACKTRACKING}}, {"a" * 60 + "!": 1}),
    "each item with each": ({"uniqueItems": True}, [{"x": number} for number in range(20_000)]),
    "many items": ({"items": {"type": "integer"}}, [1] * 1_000_000),
    "many alternatives": ({"items": {"anyOf": [*[{"type": "string"}] * 200, {}]}}, [1] * 60_000),
    "an endless reference": ({"$ref": "#"}, {}),
}


@pytest.mark.parametrize(("schema", "value"), GREEDY.values(), ids=GREEDY)
async def test_it_ends_soon_and_others_go_on(schema, value):
    checked = asyncio.create_task(Schema.read(schema, "it").mismatch(value))
    longest = 0.0
    begin = time.monotonic()
    while not checked.done():
        at = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - at)
    assert "it can't be checked: it takes more than" in str(await checked)
    assert time.monotonic() - begin < 10
    assert longest < 1


@pytest.mark.parametrize("pad", [0, 100_000], ids=["here", "in the helper"])
async def test_the_first_mismatch_is_told_with_its_place(pad):
    schema = Schema.read({"properties": {"n": {"items": {"type": "integer"}}}}, "it")
    value = {"n": [1, "two"], "pad": "x" * pad}
    assert await schema.mismatch(value) == "n.1: 'two' is not of type 'integer'"
    assert await schema.mismatch(value, quote_value=False) == "n.1: it breaks the schema's `type`"
    assert await schema.mismatch({"n": [1], "pad": "x" * pad}) is None


@pytest.mark.parametrize(
    ("schema", "light"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, True),
        ({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "integer"}}]}, True),
        ({"properties": {"pattern": {"type": "string"}}}, True),
        ({"properties": {"a": {"pattern": "^a"}}}, False),
        ({"anyOf": [{"items": {"uniqueItems": True}}]}, False),
        ({"additionalProperties": {"$ref": "#/$defs/a"}, "$defs": {"a": {}}}, False),
    ],
)
def test_what_is_checked_in_the_pod_itself(schema, light):
    assert Schema.read(schema, "it").light is light


async def test_patterns_are_those_of_json_schema():
    schema = Schema.read({"pattern": "^(?=.*[0-9])[a-z0-9]+$"}, "it")
    assert await schema.mismatch("abc1") is None
    assert "does not match" in str(await schema.mismatch("abc"))


async def test_a_reference_to_elsewhere_is_not_fetched():
    schema = Schema.read({"$ref": "http://127.0.0.1:1/schema.json"}, "it")
    assert "leads nowhere" in str(await schema.mismatch({}))


def test_a_wrong_schema_is_a_config_error():
    with pytest.raises(ConfigError, match="the JSON Schema of it is not valid"):
        Schema.read({"type": "nonsense"}, "it")
