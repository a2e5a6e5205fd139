import pytest

from apm_operator import errors


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, {"message": "x"}, errors.NotFound),
        (409, {"message": "x"}, errors.Conflict),
        (422, {"message": "x"}, errors.Invalid),
        (429, {"message": "x"}, errors.Overloaded),
        (500, None, errors.ApiError),
        (500, {"message": "failed to create typed patch object (x): .spec.y: field not declared"}, errors.Invalid),
        (503, b"<html>", errors.ApiError),
        (403, {"message": "no"}, errors.Forbidden),
        (403, {"message": 'pods "a" is forbidden: exceeded quota: q'}, errors.QuotaExceeded),
        (
            403,
            {"message": 'user "x" (groups=["y"]) is attempting to grant RBAC permissions not currently held:\n{}'},
            errors.NotHeld,
        ),
        (
            403,
            {"message": "x", "details": {"causes": [{"reason": "NamespaceTerminating"}]}},
            errors.NamespaceTerminating,
        ),
    ],
)
def test_each_answer_has_its_error(status: int, body: object, kind: type[errors.ApiError]):
    error = errors.from_status(status, body)
    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize(
    ("header", "body", "seconds"),
    [("3", {}, 3), (None, {"details": {"retryAfterSeconds": 5}}, 5), (None, {}, 0), ("Wed, 21 Oct", {}, 0)],
)
def test_how_long_the_server_asks_to_wait(header: str | None, body: dict[str, object], seconds: float):
    assert errors.from_status(429, body, header).retry_after == seconds
