"""Series of counts as an agent would make them, a quarter of an hour apart."""

import math
import random
from collections.abc import Callable, Iterator

from apm_operator.anomalies.counts import SPAN, Counts
from apm_operator.anomalies.detector import Detector, Finding
from apm_operator.anomalies.scale import Tokens

MONDAY = 1_767_571_200
DAY = 86_400
WEEK = 7 * DAY


def steady(
    days: float, begin: float = MONDAY, *, runs: float = 60, scatter: float = 0.1
) -> Iterator[tuple[float, Counts]]:
    """More by day than by night, with some scatter that is the same each time."""
    draw = random.Random(7)  # noqa: S311
    for number in range(int(days * DAY) // SPAN):
        time = begin + number * SPAN
        rhythm = 1.2 + math.sin(time % DAY / DAY * 2 * math.pi)
        count = max(round(runs * rhythm + draw.gauss(0, 3)), 4)
        yield time, Counts(count, 0.0, count * 2.0, count * 2000 * draw.uniform(1 - scatter, 1 + scatter))


def taught(days: float = 28, scatter: float = 0.1, runs: float = 60) -> tuple[Detector, float]:
    """A detector of tokens that has seen so many days, and the time after them."""
    detector = Detector(Tokens())
    for time, counts in steady(days, runs=runs, scatter=scatter):
        detector.observe(time, counts)
    return detector, MONDAY + days * DAY


def told(
    detector: Detector, series: Iterator[tuple[float, Counts]], change: Callable[[float, Counts], Counts]
) -> list[Finding]:
    """The findings that come up, one after the other."""
    found: list[Finding] = []
    for time, counts in series:
        detector.observe(time, change(time, counts))
        if detector.finding is not None and detector.finding not in found:
            found.append(detector.finding)
    return found
