"""The report fits the termination message, whatever happened."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apm_operator.backup.__main__ import fitting
from apm_operator.backup.errors import ConfigError
from apm_operator.backup.report import LIMIT, Report, StoreFacts
from apm_operator.backup.report import TestFacts as Facts  # pytest would take it for tests
from apm_operator.backup.settings import parse


def test_long_texts_are_cut():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    tests = (Facts(name="b", at=at, restored=True, good=False, message="ü" * 5000),)
    store = StoreFacts(backups=1, verified=1, size=1, removed=tuple(f"nightly-{number}" for number in range(900)))
    report = Report(result="Failed", reason="X", message="ä" * 5000, tests=tests, store=store)
    text = fitting(report)
    assert len(text.encode()) <= LIMIT
    read = Report.model_validate_json(text)
    assert (read.result, read.reason) == ("Failed", "X")
    assert read.store is not None
    assert read.store.removed[-1] == "nightly-899"


def test_a_short_one_is_whole():
    report = Report(result="Succeeded", reason="Completed", message="all is well")
    assert Report.model_validate_json(fitting(report)) == report


@pytest.mark.parametrize("text", ["", "{", "{}", '{"command": "dance"}', '{"command": "backup", "uri": "geheim"}'])
def test_a_wrong_configuration_is_not_shown(text):
    with pytest.raises(ConfigError, match="APM_JOB is no configuration") as caught:
        parse(text)
    assert "geheim" not in str(caught.value)
