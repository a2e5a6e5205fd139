"""What is made to differ in a series."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from apm_operator.anomalies.counts import Counts
from bench.anomalies.series import NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY = 86_400
_POINT = 1800
_GROWS = 5 * DAY
_FEWEST = 1 / 20
_UP = {"point": (4.0, 10.0), "level shift": (2.5, 6.0), "slow drift": (2.5, 4.0)}
SHAPES = (*_UP, "seasonality")
"""With the last nothing is put in: there is only the rhythm of days and weeks."""


@dataclass(frozen=True)
class Injected:
    """What is made to differ from `begin` to `end` (seconds since 1970).

    Attributes:
        shape: one of `SHAPES`, or what else happened.
        series: the one that differs.
        factor: by which; a drift grows up to it.
        also: the series that may differ in consequence, of which alarms say nothing for or against the detector.
    """

    shape: str
    series: str
    begin: float
    end: float
    factor: float = 1.0
    also: tuple[str, ...] = ()

    def at(self, when: float) -> float:
        """The factor at a time."""
        if not self.begin <= when < self.end:
            return 1.0
        if self.shape != "slow drift":
            return self.factor
        return math.exp(math.log(self.factor) * min((when - self.begin) / _GROWS, 1.0))

    def share(self, usual: float, when: float) -> float:
        """The share of runs that fail at a time, where `usual` is what else does: those who never fail begin to."""
        if self.series != "error_rate" or not self.begin <= when < self.end:
            return usual
        factor = self.at(when)
        return min(max(usual * factor, factor * _FEWEST), 1.0)

    def into(self, counts: Counts, when: float, usual: float, draw: random.Random) -> Counts:
        """What was recorded from a time on, as it would have been with it; `usual` is the share of runs that fail."""
        factor = self.at(when)
        if self.series == "run_rate":
            return Counts(*(each * factor for each in (counts.runs, counts.failed, counts.seconds, counts.tokens)))
        if self.series == "latency":
            return replace(counts, seconds=counts.seconds * factor)
        if self.series == "tokens_per_run":
            return replace(counts, tokens=counts.tokens * factor)
        more = (self.share(usual, when) - usual) / (1 - usual)
        return replace(counts, failed=counts.failed + binomial(draw, round(counts.runs - counts.failed), more))


def injection(shape: str, seed: int, begin: float, last: float, names: Sequence[str] = NAMES) -> Injected | None:
    """One anomaly of a shape in one of the series, that begins in the day after `begin`; None where it is none."""
    draw = random.Random(seed * 7919 + len(shape))  # noqa: S311
    series = draw.choice(names)
    begin += draw.randrange(24) * 3600 + draw.randrange(12) * 300
    if shape == "seasonality":
        return None
    factor = draw.uniform(*_UP[shape])
    if shape == "point":
        noon = begin - begin % DAY + 10 * 3600 + draw.randrange(72) * 300
        return Injected(shape, series, noon, noon + _POINT, factor)
    return Injected(shape, series, begin, last, factor)


def binomial(draw: random.Random, tries: int, share: float) -> int:
    """How many of some tries succeed, of which so large a share does."""
    return sum(draw.random() < share for _ in range(tries))
