"""What the operator would have seen of an agent, and what is known to be odd in it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apm_operator.anomalies.counts import SPAN, Counts
from apm_operator.anomalies.scale import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.anomalies.injected import Injected

START = 1_767_571_200  # a Monday, 00:00 UTC
WEEK = 7 * 86_400
NAMES = tuple(scale.name for scale in SCALES)


@dataclass(frozen=True)
class Series:
    """The counts of one agent.

    Attributes:
        step: seconds from one look to the next.
        steps: when each step was over, and what was counted in it; None where nothing is known.
        judged: alarms count from this time on.
        odd: what is known to be odd then.
        watched: names of the series of which it says something.
    """

    step: int
    steps: Sequence[tuple[float, Counts | None]]
    judged: float
    odd: tuple[Injected, ...] = ()
    watched: tuple[str, ...] = NAMES

    @property
    def days(self) -> float:
        """For so many alarms count."""
        return (self.steps[-1][0] - self.judged) / 86_400

    def windows(self) -> Iterator[tuple[float, Counts | None]]:
        """What would be seen after each step: the sums over the last quarter of an hour."""
        last: deque[Counts | None] = deque(maxlen=SPAN // self.step)
        for when, counts in self.steps:
            last.append(counts)
            yield when, _sum(last)


def _sum(parts: deque[Counts | None]) -> Counts | None:
    known = [each for each in parts if each is not None]
    if len(known) < len(parts):
        return None
    return Counts(
        sum(each.runs for each in known),
        sum(each.failed for each in known),
        sum(each.seconds for each in known),
        sum(each.tokens for each in known),
    )
