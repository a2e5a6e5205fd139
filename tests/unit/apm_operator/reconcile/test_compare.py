from typing import Any

import pytest

from apm_operator.api.quantity import amount
from apm_operator.reconcile.compare import covers


@pytest.mark.parametrize(
    ("observed", "desired"),
    [
        ({"a": 1, "more": 2}, {"a": 1}),
        ({"a": [{"name": "x", "default": True}]}, {"a": [{"name": "x"}]}),
        ({}, {"empty": {}, "none": None, "text": "", "list": [], "no": False}),
        ({"resources": {"limits": {"cpu": "1"}}}, {"resources": {"limits": {"cpu": "1000m"}}}),
        ({"requests": {"memory": "1Gi"}}, {"requests": {"memory": "1024Mi"}}),
    ],
)
def test_what_says_the_same_or_more_covers(observed: Any, desired: Any):
    assert covers(observed, desired)


@pytest.mark.parametrize(
    ("observed", "desired"),
    [
        ({"a": 2}, {"a": 1}),
        ({}, {"a": 1}),
        ({"a": None}, {"a": {"b": 1}}),
        ({"a": [1, 2]}, {"a": [1]}),
        ({"a": [2, 1]}, {"a": [1, 2]}),
        ({"a": "1"}, {"a": "1000m"}),
        ({"limits": {"cpu": "2"}}, {"limits": {"cpu": "1"}}),
        ({"limits": {"cpu": "nonsense"}}, {"limits": {"cpu": "1"}}),
        ({"yes": False}, {"yes": True}),
        ("text", {"a": 1}),
    ],
)
def test_what_says_less_or_otherwise_does_not(observed: Any, desired: Any):
    assert not covers(observed, desired)


@pytest.mark.parametrize(
    ("one", "other"), [("100m", "0.1"), ("1k", "1000"), ("1Ki", 1024), ("1.5Gi", "1536Mi"), ("2E", "2000P")]
)
def test_spellings_of_one_quantity(one: str, other: str):
    assert amount(one) == amount(other)
