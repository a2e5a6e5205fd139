"""A Job: `python -m apm_operator.report` with its configuration in `APM_JOB`. The text goes to stdout."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import Any

from apm_operator.backup import log as logging
from apm_operator.backup.report import Report as Ending
from apm_operator.report.errors import ReportError
from apm_operator.report.settings import Settings, parse, read
from apm_operator.report.work import Done, make

_TRY_AGAIN = os.EX_TEMPFAIL
_MESSAGE = 900
"""Characters: as JSON they fit the 4,096 bytes of a termination message, whatever they are."""


def main() -> int:
    """0 where it has succeeded, 75 where another pod may well succeed, else 1."""
    settings, log = read(), logging.configure()
    ending, again = asyncio.run(_ending(settings, log))
    with suppress(OSError):  # outside of a pod there is no such file
        settings.termination_log.write_text(ending.to_json(), encoding="utf-8")
    logging.outcome(log, ending)
    if again:
        return _TRY_AGAIN
    return int(ending.result != "Succeeded")


async def _ending(settings: Settings, log: Any) -> tuple[Ending, bool]:
    """How it ended, and whether another pod may well succeed."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        done = await _done(settings)
    except ReportError as error:
        return _told("Failed", error.reason, str(error)), error.again
    except TimeoutError:
        return _told("Failed", "DeadlineExceeded", "The report took longer than spec.job.timeout: raise it."), False
    except asyncio.CancelledError:
        return _told("Failed", "Stopped", "The pod was told to end; the Job tries again where it may."), True
    except Exception as error:
        log.exception("unexpected")
        message = f"The Job failed by an error of its own ({type(error).__name__}): see its log."
        return _told("Failed", "InternalError", message), False
    return _told("Succeeded", done.reason, done.message), False


async def _done(settings: Settings) -> Done:
    job = parse(settings.job)
    async with asyncio.timeout(job.deadline):
        return await make(job, settings, print)


def _told(result: Any, reason: str, message: str) -> Ending:
    return Ending(result=result, reason=reason, message=message[:_MESSAGE])


if __name__ == "__main__":
    sys.exit(main())
