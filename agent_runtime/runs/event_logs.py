"""What the runs of this pod have told, for as long as somebody may ask."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_runtime.runs.events import EventLog

_KEPT = 256
"""Runs that ended whose events are kept."""
_BYTES_KEPT = 16 << 20


class EventLogs:
    """The events of runs that execute here, and of some that ended not long ago."""

    def __init__(self) -> None:
        self._logs: dict[str, EventLog] = {}
        self._ended: OrderedDict[str, int] = OrderedDict()
        """Their bytes, in the order they ended in."""
        self._size = 0

    def get(self, run_id: str) -> EventLog | None:
        """The events of a run, if they are kept."""
        return self._logs.get(run_id)

    def add(self, run_id: str, log: EventLog) -> None:
        """Keeps the events of a run that begins."""
        self._size -= self._ended.pop(run_id, 0)
        self._logs[run_id] = log

    def end(self, run_id: str) -> None:
        """Keeps them for some time still; those of runs that ended before may go for it."""
        if run_id not in self._logs:  # an earlier attempt ends here, later than the last one
            return
        self._size -= self._ended.pop(run_id, 0)
        size = self._ended[run_id] = self._logs[run_id].size
        self._size += size
        while self._ended and (len(self._ended) > _KEPT or self._size > _BYTES_KEPT):
            oldest, size = self._ended.popitem(last=False)
            self._size -= size
            del self._logs[oldest]
