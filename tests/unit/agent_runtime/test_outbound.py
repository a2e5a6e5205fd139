from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from agent_runtime.errors import CallError, CallErrorKind, WorkflowError
from agent_runtime.outbound import _retry_after, pause


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("", None), (None, None)]
)
def test_retry_after_in_seconds(value, seconds):
    assert _retry_after(value) == seconds


def test_retry_after_as_a_date():
    value = _retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True))
    assert value is not None
    assert 58 <= value <= 60


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CallError(CallErrorKind.SERVER, ""), True),
        (CallError(CallErrorKind.RATE_LIMIT, "", retry_after=3), 3),
        (CallError(CallErrorKind.RATE_LIMIT, "", retry_after=30), False),
        (CallError(CallErrorKind.AUTHENTICATION, ""), False),
        (CallError(CallErrorKind.REFUSED, ""), False),
        (WorkflowError(""), False),
    ],
)
def test_which_failures_are_tried_again(error, expected):
    assert pause(error, longest=10) == expected
