from __future__ import annotations

import json

import pytest
from langchain_core.messages import HumanMessage

from agent_runtime.spec.size import exceeds


@pytest.mark.parametrize(
    "value", ["x" * 100, "ü" * 50, ["x" * 50, "y" * 50], {"x" * 50: "y" * 50}, {"a": [{"b": ("c" * 90,)}, 1]}, [1] * 12]
)
def test_a_value_is_about_as_large_as_its_text(value):
    size = len(json.dumps(value, ensure_ascii=False).encode())
    assert exceeds(value, size // 2)
    assert not exceeds(value, size * 2)


def test_what_a_message_says_counts():
    assert exceeds([HumanMessage("x" * 1000)], 1000)
    assert not exceeds([HumanMessage("x")], 1000)
