"""Everything the operator raises.

OperatorError
  +- SettingsError          the environment or the kubeconfig is wrong; told on the command line
  +- InvalidSpec            the resource itself is wrong; no retry until somebody changes it
  +- LeadershipLost         another process may lead by now; this one must end
  +- Rewound                the API server's data went back in time; this process must end
  +- ApiError               the API server refused or could not be asked
       +- Unreachable       no answer at all
       +- NotFound          404
       +- Conflict          409
       +- Invalid           400, 413 and 422: the same request will never be accepted
       +- Overloaded        429
       +- Forbidden         403
            +- QuotaExceeded
            +- NamespaceTerminating
            +- NotHeld
"""

from __future__ import annotations

from typing import Any


class OperatorError(Exception):
    """Base of all errors of this package."""


class SettingsError(OperatorError):
    """A setting is missing or wrong; the message says which and what it may be."""


class InvalidSpec(OperatorError):
    """A resource says something that can't be done; the message lists what to change."""


class LeadershipLost(OperatorError):
    """The lease could not be renewed in time."""


class Rewound(OperatorError):
    """An object is older than it was before, as after a restore of etcd: what was learnt since holds no more."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is older than before: the cluster's data were restored from a backup")


class ApiError(OperatorError):
    """The API server answered with an error.

    Attributes:
        status: HTTP status, 0 where there was no answer.
        reason: the Status object's reason, such as `AlreadyExists`.
        retry_after: seconds the server asked to wait, 0 where it did not.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class Unreachable(ApiError):
    """The API server did not answer in time, or could not be connected to."""


class NotFound(ApiError):
    """The object, its namespace or its kind does not exist."""


class Conflict(ApiError):
    """Another writer was faster, or owns fields that were to be written."""


class Invalid(ApiError):
    """The API server refuses the content."""


class Overloaded(ApiError):
    """The API server asks for fewer requests."""


class Forbidden(ApiError):
    """The operator may not do this, or an admission rule refuses it."""


class QuotaExceeded(Forbidden):
    """The namespace's ResourceQuota is used up."""


class NamespaceTerminating(Forbidden):
    """The namespace is being deleted: nothing can be created in it."""


class NotHeld(Forbidden):
    """A Role is to grant what the operator does not hold itself."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: Invalid,
    422: Invalid,
    429: Overloaded,
}


def from_status(status: int, body: Any, retry_after: str | None = None) -> ApiError:
    """The error that an HTTP answer stands for; `body` is its decoded Status object, or whatever came instead."""
    answer = body if isinstance(body, dict) else {}
    message = str(answer.get("message") or f"HTTP {status}")
    reason = str(answer.get("reason") or "")
    details = answer.get("details") or {}
    kind = _BY_STATUS.get(status, ApiError)
    if status == 500 and "failed to create typed patch object" in message:  # noqa: PLR2004
        # How a server-side apply is told of a field that the kind does not have, or of a value of another type.
        kind = Invalid
    if kind is Forbidden:
        causes = {cause.get("reason") for cause in details.get("causes") or ()}
        if "NamespaceTerminating" in causes or "is being terminated" in message:
            kind = NamespaceTerminating
        elif "exceeded quota" in message:
            kind = QuotaExceeded
        elif "attempting to grant RBAC permissions not currently held" in message:
            kind = NotHeld
    return kind(message, status=status, reason=reason, retry_after=_seconds(retry_after, details))


def _seconds(header: str | None, details: dict[str, Any]) -> float:
    try:
        return float(header or details.get("retryAfterSeconds") or 0)
    except ValueError:
        return 0.0
