from __future__ import annotations

import pytest

from agent_runtime.spec.scalars import seconds


@pytest.mark.parametrize(
    ("text", "length"),
    [("500ms", 0.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("720h", 2_592_000), ("30d", 2_592_000)],
)
def test_durations_in_seconds(text, length):
    assert seconds(text) == length
