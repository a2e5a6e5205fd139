"""Everything that the Job of a report raises; the class decides the reason that the operator shows.

ReportError
  +- ConfigError     the Job's configuration is wrong
  +- ApiAway         the API server can't be asked about the namespace
  +- StoreError      MongoDB does not take the report
  +- SendError       Slack or the service of the integration communications does not take it
"""

from __future__ import annotations

from typing import ClassVar


class ReportError(Exception):
    """Base of all errors of this package; the message says what to do.

    Attributes:
        reason: CamelCase, for the operator.
        again: whether another pod of the Job may well succeed.
    """

    reason: ClassVar[str] = "Failed"

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.again = again


class ConfigError(ReportError):
    """The Job's configuration is wrong."""

    reason = "ConfigInvalid"


class ApiAway(ReportError):
    """The API server can't be asked about the namespace, without which there is nothing to tell."""

    reason = "ApiUnavailable"


class StoreError(ReportError):
    """MongoDB does not take the report."""

    reason = "StoreUnavailable"


class SendError(ReportError):
    """A receiver does not take the report."""

    reason = "NotSent"
