"""The log of a Job: JSON lines on stderr."""

from __future__ import annotations

import sys
import time
from typing import Any

import structlog

from apm_operator.backup.report import Report

_EVERY = 10.0
"""Seconds between two lines about the progress."""


def configure() -> Any:
    """The logger."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    return structlog.get_logger()


class ProgressLog:
    """Tells the phases, and now and then how far they are."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._phase = ""
        self._next = 0.0

    def __call__(self, phase: str, documents: int, size: int, percent: int | None) -> None:
        """Log it, where it is new or the last line is a while ago."""
        now = time.monotonic()
        if phase == self._phase and now < self._next:
            return
        self._phase, self._next = phase, now + _EVERY
        self._log.info("progress", phase=phase, documents=documents, bytes=size, percent=percent)


def outcome(log: Any, report: Report) -> None:
    """The last line."""
    (log.info if report.result == "Succeeded" else log.error)(
        "ended", result=report.result, reason=report.reason, message=report.message
    )
