"""A Job: `python -m apm_operator.backup` with its configuration in `APM_JOB`; or, with arguments, a command."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from apm_operator.backup import commandline
from apm_operator.backup import log as logging
from apm_operator.backup.commands import execute
from apm_operator.backup.errors import BackupError
from apm_operator.backup.interrupts import interruptible
from apm_operator.backup.report import LIMIT, Report
from apm_operator.backup.settings import Settings, parse, read

_TRY_AGAIN = os.EX_TEMPFAIL


def main() -> int:
    """0 where it has succeeded, 75 where another pod may well succeed, else 1."""
    settings, log = read(), logging.configure()
    if sys.argv[1:]:
        return commandline.main(sys.argv[1:], lambda job: execute(job, settings, logging.ProgressLog(log)))
    report, again = _report(settings, log)
    with suppress(OSError):  # on a command line there is no such file
        settings.termination_log.write_text(fitting(report), encoding="utf-8")
    logging.outcome(log, report)
    if again:
        return _TRY_AGAIN
    return int(report.result != "Succeeded")


def _report(settings: Settings, log: Any) -> tuple[Report, bool]:
    """How it ended, and whether another pod may well succeed."""
    try:
        job = parse(settings.job)
        with interruptible(job.deadline):
            return execute(job, settings, logging.ProgressLog(log)), False
    except BackupError as error:
        return Report(result="Failed", reason=error.reason, message=str(error)), error.again
    except Exception as error:
        log.exception("unexpected")
        message = f"the Job failed by an error of its own ({type(error).__name__}): see its log"
        return Report(result="Failed", reason="InternalError", message=message), False


def fitting(report: Report) -> str:
    """The report as JSON, with its longest texts cut where it would not fit the termination message."""
    text, length = report.to_json(), 2048
    while len(text.encode()) > LIMIT and length > 1:
        tests = tuple(each.model_copy(update={"message": each.message[:length]}) for each in report.tests)
        store = (
            report.store.model_copy(update={"removed": report.store.removed[-length // 128 :]})
            if report.store
            else None
        )
        report = report.model_copy(update={"message": report.message[:length], "tests": tests, "store": store})
        text, length = report.to_json(), length // 2
    return text


if __name__ == "__main__":
    sys.exit(main())
