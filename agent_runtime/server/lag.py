"""How long the event loop takes to answer, seen from outside of it."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from prometheus_client import Gauge

log = structlog.get_logger()

_INTERVAL = 2.0
_LONG = 5.0
"""Seconds without an answer after which the log tells where the loop hangs."""


class LagMeter(threading.Thread):
    """Knocks on the event loop from a thread of its own, so that a blocked loop is seen while it is blocked."""

    def __init__(self, loop: asyncio.AbstractEventLoop, gauge: Gauge) -> None:
        super().__init__(name="event-loop-lag", daemon=True)
        self._loop = loop
        self._gauge = gauge
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Measures until stopped."""
        while not self._stopped.wait(_INTERVAL):
            answered = threading.Event()
            asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(answered.set)
            except RuntimeError:
                return  # the loop is closed
            if not answered.wait(_LONG):
                frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - there is no public way
                where = traceback.format_stack(frame)[-3:] if frame else []
                log.error("the event loop is blocked", seconds=_LONG, where="".join(where))
                answered.wait()
            self._gauge.set(time.monotonic() - asked)

    def stop(self) -> None:
        """Ends the thread after its current wait."""
        self._stopped.set()
