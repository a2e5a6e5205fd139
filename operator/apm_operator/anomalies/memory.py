from __future__ import annotations

from array import array
from dataclasses import dataclass
from statistics import median

WEEKS = 4
HOURS = 168
_CELLS = WEEKS * HOURS
_EMPTY = -32768
_STEPS = 1000
"""Steps to 1 on a scale: what is kept is exact to a thousandth, in two bytes."""
_LARGEST = 32767
_LEAST_WEEKS = 2
_NORMAL = 1.4826
"""By which the median of absolute deviations is a standard deviation where values are normally distributed."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual in an hour of the week.

    Attributes:
        centre: median of the hour over the weeks.
        low: the least of the medians of this hour, the one before and the one after it.
        high: the greatest of them.
        spread: of the hour over the weeks, as a standard deviation.
    """

    centre: float
    low: float
    high: float
    spread: float

    def nearest(self, value: float) -> float:
        """Which of the values from `low` to `high` is the nearest to another one."""
        return min(max(value, self.low), self.high)


class Memory:
    """The value of each hour of the last weeks: 1,344 bytes.

    What is usual in an hour is the median over the same hour of all these weeks: a value that was far off in one of
    them moves it little. What is usual in the hours beside it is told as well: a job's work may come a little sooner or
    later, and summer time moves all by an hour.
    """

    __slots__ = ("_cells", "_known", "_newest", "_usual")

    def __init__(self) -> None:
        self._cells = array("h", [_EMPTY]) * _CELLS
        self._newest = -1
        self._known = -1
        self._usual: Usual | None = None

    def put(self, hour: int, value: float | None) -> None:
        """Keep the value of an hour (counted since 1970) that is over, in place of that of four weeks ago.

        The hours between it and the one put before had none.
        """
        if self._newest >= 0:
            for skipped in range(max(self._newest + 1, hour - _CELLS + 1), hour):
                self._cells[skipped % _CELLS] = _EMPTY
        self._cells[hour % _CELLS] = _EMPTY if value is None else _kept(value)
        self._newest = hour
        self._known = -1

    def usual(self, hour: int) -> Usual | None:
        """What is usual in an hour that is not over; None where too little has been seen of it."""
        if self._known != hour:
            self._known, self._usual = hour, self._look(hour)
        return self._usual

    def shift(self, difference: float) -> None:
        """Take another level for the usual one."""
        for place, kept in enumerate(self._cells):
            if kept != _EMPTY:
                self._cells[place] = _kept(kept / _STEPS + difference)
        self._known = -1

    def _look(self, hour: int) -> Usual | None:
        own = self._over_weeks(hour, 0)
        if len(own) < _LEAST_WEEKS:
            return None
        centre = median(own)
        beside = [median(values) for near in (-1, 1) if (values := self._over_weeks(hour, near))]
        spread = _NORMAL * median(abs(value - centre) for value in own)
        return Usual(centre, min(centre, *beside, centre), max(centre, *beside, centre), spread)

    def _over_weeks(self, hour: int, near: int) -> list[float]:
        found = []
        for back in range(1, WEEKS + 1):
            wanted = hour + near - back * HOURS
            if wanted <= self._newest - _CELLS:
                continue  # its cell holds a newer one
            kept = self._cells[wanted % _CELLS]
            if kept != _EMPTY:
                found.append(kept / _STEPS)
        return found


def _kept(value: float) -> int:
    return min(max(round(value * _STEPS), _EMPTY + 1), _LARGEST)
