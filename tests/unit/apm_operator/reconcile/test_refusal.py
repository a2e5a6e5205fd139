from __future__ import annotations

import pytest

from apm_operator import conditions as c
from apm_operator.errors import ApiError, Forbidden, NamespaceTerminating, NotFound
from apm_operator.reconcile.apply import NameTaken, OwnerLeaving
from apm_operator.reconcile.refusal import refusal


@pytest.mark.parametrize(
    ("error", "failures"),
    [
        (OwnerLeaving("Service", "one"), 2),
        (ApiError("away", status=503), 2),
        (NotFound("gone"), 9),
        (NamespaceTerminating("ends"), 9),
    ],
)
def test_what_may_pass_or_is_about_to_go_is_not_told(error, failures):
    assert refusal(error, failures, "agent") is None


@pytest.mark.parametrize(
    ("error", "failures", "reason"),
    [
        (NameTaken("Service", "one"), 0, c.NAME_TAKEN),
        (OwnerLeaving("Service", "one"), 3, c.NAME_TAKEN),
        (Forbidden("not allowed"), 0, None),
        (ApiError("away", status=503), 3, None),
    ],
)
def test_what_lasts_is_told(error, failures, reason):
    found = refusal(error, failures, "agent")
    assert found is not None
    assert reason in {None, found.verdict.reason}
    assert found.outcome.failed


def test_the_api_server_is_left_alone_for_as_long_as_it_asks():
    found = refusal(ApiError("away", status=503, retry_after=4), 3, "agent")
    assert found is not None
    assert found.outcome.at_least == 4
