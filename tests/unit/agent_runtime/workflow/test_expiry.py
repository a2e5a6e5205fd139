from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from langgraph.checkpoint.base.id import uuid6

from agent_runtime.workflow.expiry import _made, expired, expiry_of, is_expired


def test_a_checkpoints_id_tells_its_time():
    made = _made(str(uuid6()))
    assert made is not None
    assert abs(made - datetime.now(UTC)) < timedelta(seconds=5)
    assert _made("none") is None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("2030-01-02T03:04:05.678901+00:00", datetime(2030, 1, 2, 3, 4, 5, 678000, UTC)),
        ("2030-01-02T03:04:05Z", datetime(2030, 1, 2, 3, 4, 5, 0, UTC)),
        ("2030-01-02T03:04:05", datetime(2030, 1, 2, 3, 4, 5, 0, UTC)),
        ("2030-01-02T03:04:05+02:00", datetime(2030, 1, 2, 1, 4, 5, 0, UTC)),
        ("tomorrow", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("9999-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        (17, None),
    ],
)
def test_the_end_that_a_value_tells(told, expected):
    assert expiry_of({"expires_at": told}) == expected


def test_values_without_an_end():
    assert expiry_of("text") is None
    assert expiry_of({}) is None


def test_what_a_node_gets_in_place_of_an_answer():
    assert is_expired(expired({"expires_at": "2030-01-02T03:04:05Z"}))
    assert not is_expired({"type": "expired"})
    assert not is_expired("approve")
