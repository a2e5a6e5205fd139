"""Who uses the agents that are recorded: how many runs they make in each quarter of an hour of some weeks."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

QUARTERS = 96
"""Of a day."""
WEEK = 7 * QUARTERS
CALM_WEEKS = 4
WEEKS = CALM_WEEKS + 1
"""In the last one things are made to go wrong."""

MADE = ("slow model", "refusing model", "long answers", "crowd", "nobody")
"""One on each working day of the last week."""
_LASTS = 3 * 4


@dataclass
class Crowd:
    """The users of one agent.

    Attributes:
        name: of the agent.
        peak: runs that they make in a quarter of an hour when they are busiest.
        busiest: the hour of the day.
        night: how busy they are when they are least, as a share of the peak.
        weekend: how busy they are on Saturdays and Sundays, against other days.
        nightly: whether a job makes runs from 02:00 to 03:00, with long answers.
        failing: share of calls that the model refuses.
        seconds: that the model takes, in the middle.
        words: that the model answers with, in the middle.
    """

    name: str
    peak: float
    busiest: int
    night: float
    weekend: float
    nightly: bool
    failing: float
    seconds: float
    words: int
    random: random.Random = field(init=False)
    _mood: float = 0.0

    def __post_init__(self) -> None:
        self.random = random.Random(self.name)  # noqa: S311

    def runs(self, quarter: int) -> int:
        """How many they make in a quarter of an hour, counted from the first Monday on; ask for one after the other."""
        self._mood = 0.98 * self._mood + self.random.gauss(0, 0.02)
        day, hour = quarter // QUARTERS % 7, quarter % QUARTERS / 4
        near = math.cos((hour - self.busiest) / 24 * 2 * math.pi)
        rate = self.peak * (self.night + (1 - self.night) * max(near, 0.0) ** 1.5)
        rate *= self.weekend if day >= 5 else 1.0  # noqa: PLR2004
        if self.job(quarter):
            rate = self.peak
        rate *= math.exp(self._mood) * {"crowd": 4.0, "nobody": 0.0}.get(self.made(quarter), 1.0)
        return poisson(self.random, rate)

    def job(self, quarter: int) -> bool:
        """Whether the nightly job runs then."""
        return self.nightly and quarter % QUARTERS // 4 == 2  # noqa: PLR2004

    def made(self, quarter: int) -> str:
        """What is made to go wrong then; empty where nothing is."""
        day, begin = quarter // QUARTERS - CALM_WEEKS * 7, self.busiest * 4 - _LASTS // 2
        return MADE[day] if 0 <= day < len(MADE) and 0 <= quarter % QUARTERS - begin < _LASTS else ""


CROWDS = (
    Crowd("desk", 12, 11, 0.03, 0.1, nightly=False, failing=0.01, seconds=0.02, words=150),
    Crowd("shop", 9, 18, 0.2, 1.3, nightly=False, failing=0.03, seconds=0.012, words=40),
    Crowd("bank", 25, 14, 0.15, 0.4, nightly=True, failing=0.02, seconds=0.015, words=200),
    Crowd("plant", 6, 12, 0.5, 0.8, nightly=True, failing=0.0, seconds=0.03, words=400),
)


def poisson(draw: random.Random, mean: float) -> int:
    """A number of what happens so often on average."""
    if mean > 40:  # noqa: PLR2004
        return max(round(draw.gauss(mean, math.sqrt(mean))), 0)
    limit, count, product = math.exp(-mean), 0, draw.random()
    while product > limit:
        count, product = count + 1, product * draw.random()
    return count
