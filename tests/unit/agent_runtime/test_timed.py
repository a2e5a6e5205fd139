from __future__ import annotations

import pytest

from agent_runtime.errors import CallError, CallErrorKind, UnavailableError
from agent_runtime.timed import timed


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (None, "success"),
        (CallError(CallErrorKind.RATE_LIMIT, "slower"), "RateLimit"),
        (UnavailableError("not now"), "UnavailableError"),
        (KeyError("x"), "Other"),
        (KeyboardInterrupt(), "Other"),
    ],
)
def test_a_call_is_told_once_however_it_ends(error, result):
    told: list[tuple[str, float]] = []

    def call() -> None:
        with timed(lambda *one: told.append(one)):
            if error is not None:
                raise error

    if error is None:
        call()
    else:
        with pytest.raises(type(error)):
            call()
    ((outcome, seconds),) = told
    assert outcome == result
    assert 0 <= seconds < 5
