"""`fakes.steps` in a process that ends itself, as by kill -9, at a moment that a file in its folder names.

`before` is between the claim of a cron's tick and its run, `after` between the run and the step to the next tick.
`FAKE_CLOCKS` sets the clocks of crons ahead, in seconds, by the name of the pod.
"""

from __future__ import annotations

import json
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_runtime.crons import cron, ticker
from agent_runtime.runs.service import RunService
from agent_runtime.state.records import now
from fakes.steps import graph

if TYPE_CHECKING:
    from datetime import datetime

    from agent_runtime.state.records import Run

__all__ = ["graph"]

_ORDERS = Path(os.environ["FAKE_ORDERS"])
_AHEAD = timedelta(seconds=json.loads(os.environ.get("FAKE_CLOCKS", "{}")).get(os.environ["POD_NAME"], 0))
_submit = RunService.submit


def _die(moment: str) -> None:
    order = _ORDERS / f"{os.environ['POD_NAME']}-{moment}"
    if order.exists():
        order.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


async def _dying_submit(self: RunService, *arguments: Any, **options: Any) -> Run:
    if arguments[2].run_id is None:
        return await _submit(self, *arguments, **options)
    _die("before")
    run = await _submit(self, *arguments, **options)
    _die("after")
    return run


def _skewed() -> datetime:
    return now() + _AHEAD


RunService.submit = _dying_submit  # type: ignore[method-assign]
ticker.now = cron.now = _skewed
