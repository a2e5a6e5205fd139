from __future__ import annotations

from pathlib import Path

import pytest

from fakes.golden import outcome

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("source", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
async def test_picture_and_result(source):
    picture, result = await outcome(source.read_text())
    assert picture == source.with_suffix(".mmd").read_text()
    assert result == source.with_suffix(".json").read_text()


def test_every_pattern_is_there():
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == {
        "evaluator",
        "handover",
        "map-reduce",
        "on-error",
        "parallel-join",
        "router",
        "sequential",
        "sub-workflow",
        "supervisor",
    }
