from __future__ import annotations

from decimal import Decimal

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from agent_runtime.state.checkpoints import values

SERDE = JsonPlusSerializer(allowed_msgpack_modules=None)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"bytes",
        "text",
        [],
        {},
        [None, b"x", 1, 2.5, True, "text", {"a": [1]}, Decimal("1.5")],
        {"a": None, 1: "number", "nested": {"b": {1, 2}}},
        [HumanMessage("hello", id="1")],
        list(range(100)),
        [str(number) for number in range(20)],
        ["many", *(str(number) for number in range(70_000))],
        {str(number): number for number in range(300)},
    ],
    ids=lambda value: f"{value!r:.20}",
)
def test_a_value_comes_back_as_it_was(value):
    encoded = values.encode(value, SERDE)
    assert repr(values.decode(values.unpack(values.pack_whole(encoded), values.no_base), SERDE)) == repr(value)


def test_a_grown_list_is_written_as_what_was_added():
    old = values.encode([f"{number} " * 20 for number in range(50)], SERDE)
    new = values.encode([*(f"{number} " * 20 for number in range(50)), "last"], SERDE)
    packed, kept = values.pack_change(old, new, 7, 3)
    assert len(packed) < 40
    assert values.base_of(packed) == (7, 3)
    asked = []

    def base(*at: int) -> values.Value:
        asked.append(at)
        return old

    assert values.unpack(packed, base) == kept
    assert asked == [(7, 3)]
    assert values.same(kept, new)


def test_a_value_is_written_whole_once_its_changes_weigh_as_much():
    items, known, wholes = [], values.encode(["x"], SERDE), 0
    for number in range(200):
        items.append(f"{number} " * 100)
        change = values.pack_change(known, new := values.encode(items, SERDE), 1, 0)
        wholes += change is None
        known = change[1] if change else new
    assert 2 < wholes < 12


def test_an_object_that_was_changed_in_place_is_seen():
    message = HumanMessage("hello", id="1")
    old = values.encode([message, "x" * 1000], SERDE)
    message.content = "bye"
    assert not values.same(old, values.encode([message, "x" * 1000], SERDE))


def test_other_kinds_are_written_whole():
    assert values.pack_change(values.encode([1, "a"], SERDE), values.encode({"a": 1}, SERDE), 0, 0) is None
    assert values.pack_change(values.encode("a", SERDE), values.encode("ab", SERDE), 0, 0) is None


def test_a_value_that_has_no_form_is_refused():
    with pytest.raises(TypeError):
        values.encode([object()], SERDE)
