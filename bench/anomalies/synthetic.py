"""Agents that are made up.

Each has its own daily and weekly rhythm, size, share of failures and scatter. In the last of six weeks one thing is
injected into one of its series, or nothing.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apm_operator.anomalies.counts import Counts
from bench.anomalies.injected import Injected, binomial, injection
from bench.anomalies.series import START, WEEK, Series
from bench.crowds import poisson

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP = 300
WEEKS = 6


@dataclass
class Agent:
    """How one agent's runs come about."""

    seed: int
    injected: Injected | None = None
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311
        draw = self.random
        self.peak = math.exp(draw.uniform(math.log(2), math.log(60)))  # runs in five minutes at noon
        self.night = draw.uniform(0.05, 0.5)
        self.weekend = draw.uniform(0.1, 1.0)
        self.failing = draw.choice((0.0, 0.005, 0.02, 0.05))
        self.tokens = math.exp(draw.uniform(math.log(200), math.log(20_000)))
        self.seconds = math.exp(draw.uniform(math.log(0.5), math.log(30)))
        self.scatter = draw.uniform(0.2, 1.0)
        self.batch = draw.random() < 0.3  # noqa: PLR2004  a nightly job with long prompts

    def steps(self) -> Iterator[tuple[float, Counts]]:
        """The counts of each five minutes."""
        draw, mood = self.random, 0.0
        for number in range(WEEKS * WEEK // STEP):
            when = START + number * STEP
            mood = 0.98 * mood + draw.gauss(0, 0.02)  # what is so for some hours: neighbours in time are alike
            hour, day = when % 86_400 / 3600, (when - START) // 86_400 % 7
            rhythm = self.night + (1 - self.night) * max(math.sin((hour - 6) / 14 * math.pi), 0.0) ** 1.5
            rate = self.peak * rhythm * (self.weekend if day >= 5 else 1.0)  # noqa: PLR2004
            nightly = self.batch and 2 <= hour < 3  # noqa: PLR2004
            rate = max(rate, self.peak) if nightly else rate
            runs = poisson(draw, rate * math.exp(mood) * self._factor("run_rate", when))
            share = self.failing if self.injected is None else self.injected.share(self.failing, when)
            failed = binomial(draw, runs, share)
            long = math.exp(mood) * (4 if nightly else 1)
            yield (
                when + STEP,
                Counts(
                    runs,
                    failed,
                    self._sum(runs, self.seconds * long * self._factor("latency", when)),
                    self._sum(runs, self.tokens * long * self._factor("tokens_per_run", when)),
                ),
            )

    def _factor(self, series: str, when: float) -> float:
        return self.injected.at(when) if self.injected is not None and self.injected.series == series else 1.0

    def _sum(self, runs: int, mean: float) -> float:
        if not runs:
            return 0.0
        squared = self.scatter**2  # of the coefficient of variation of one run
        return self.random.gammavariate(runs / squared, squared) * mean


def agents(shape: str, count: int, seed: int) -> Iterator[Series]:
    """So many agents, each with an anomaly of a shape; of the last two weeks alarms count."""
    for number in range(seed * 1000, seed * 1000 + count):
        odd = injection(shape, number, START + (WEEKS - 1) * WEEK, START + WEEKS * WEEK)
        steps = list(Agent(number, odd).steps())
        yield Series(STEP, steps, START + (WEEKS - 2) * WEEK, () if odd is None else (odd,))
