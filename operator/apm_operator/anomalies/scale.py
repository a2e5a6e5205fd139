"""The four series of an agent, each on a scale on which chance is about equally wide everywhere.

Ratios of times and tokens by their logarithm, numbers of runs likewise, shares of failures by the arcsine of their root
(the variance-stabilising transformation of a binomial share).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Final

from apm_operator.anomalies.counts import SPAN, Counts

_FEWEST_RUNS = 3.0
"""A mean of fewer says nothing."""
_VARIATION = 0.5
"""Of one run's time and tokens, as a share of their mean; the detector learns by how much it is off."""


class Scale(ABC):
    """What is watched of an agent.

    Attributes:
        name: as in the metrics.
        least: difference on the scale below which nothing is worth telling.
        falls: whether it is worth telling that there is less than usual.
    """

    name: ClassVar[str]
    least: ClassVar[float]
    falls: ClassVar[bool] = True

    @abstractmethod
    def place(self, counts: Counts) -> float | None:
        """Where the counts stand on the scale; None where they are too few to stand anywhere."""

    @abstractmethod
    def noise(self, counts: Counts, usual: float) -> float:
        """Standard deviation that chance alone gives at these counts, where `usual` is what is expected."""

    @abstractmethod
    def words(self, value: float, usual: float, when: str) -> str:
        """How a place on the scale compares with what is usual at a time (`for Monday 10:00`), for a person."""


class _Mean(Scale):
    """Of something per run."""

    least = math.log(1.5)
    _label: ClassVar[str]

    def place(self, counts: Counts) -> float | None:
        total = self._total(counts)
        return math.log(total / counts.runs) if counts.runs >= _FEWEST_RUNS and total > 0 else None

    def noise(self, counts: Counts, usual: float) -> float:  # noqa: ARG002
        return _VARIATION / math.sqrt(max(counts.runs, 1.0))

    def words(self, value: float, usual: float, when: str) -> str:
        now, before = self._shown(math.exp(value)), self._shown(math.exp(usual))
        return f"{self._label} {times(value - usual)} times the usual {when} ({now} against {before})"

    @abstractmethod
    def _total(self, counts: Counts) -> float: ...

    @abstractmethod
    def _shown(self, value: float) -> str: ...


class Latency(_Mean):
    """Mean time of a run, in seconds."""

    name = "latency"
    falls = False
    _label = "time per run"

    def _total(self, counts: Counts) -> float:
        return counts.seconds

    def _shown(self, value: float) -> str:
        return f"{value:.3g} s"


class Tokens(_Mean):
    """Mean tokens of a run."""

    name = "tokens_per_run"
    _label = "tokens per run"

    def _total(self, counts: Counts) -> float:
        return counts.tokens

    def _shown(self, value: float) -> str:
        return f"{value:,.0f}"


class RunRate(Scale):
    """Runs that end, in `SPAN` seconds."""

    name = "run_rate"
    least = math.log(2)

    def place(self, counts: Counts) -> float | None:
        return math.log1p(max(counts.runs, 0.0))

    def noise(self, counts: Counts, usual: float) -> float:  # noqa: ARG002
        return math.exp(-usual / 2)  # of a Poisson number's logarithm

    def words(self, value: float, usual: float, when: str) -> str:
        now, before = (max(round(math.expm1(place)), 0) for place in (value, usual))
        told = f"runs {times(value - usual)} times the usual {when}" if before else f"runs, and usually none {when}"
        return f"{told} ({now:,} in {SPAN // 60} minutes against {before:,})"


class ErrorRate(Scale):
    """Share of runs that end in an error."""

    name = "error_rate"
    least = 0.15  # from 0 to 2 %, from 5 to 14 %, from 20 to 33 %
    falls = False

    def place(self, counts: Counts) -> float | None:
        if counts.runs < _FEWEST_RUNS:
            return None
        return math.asin(math.sqrt(min(max(counts.failed / counts.runs, 0.0), 1.0)))

    def noise(self, counts: Counts, usual: float) -> float:  # noqa: ARG002
        return 0.5 / math.sqrt(max(counts.runs, 1.0))

    def words(self, value: float, usual: float, when: str) -> str:
        now, before = (100 * math.sin(min(max(place, 0.0), math.pi / 2)) ** 2 for place in (value, usual))
        return f"error rate {now:.1f} % against the usual {before:.1f} % {when}"


def times(difference: float) -> str:
    """By what factor a logarithm has grown, to two digits."""
    factor = math.exp(min(max(difference, -20.0), 20.0))
    return f"{factor:.1f}" if 1 <= factor < 100 else f"{factor:.2g}" if factor < 1 else f"{factor:,.0f}"  # noqa: PLR2004


SCALES: Final[tuple[Scale, ...]] = (ErrorRate(), Latency(), Tokens(), RunRate())
