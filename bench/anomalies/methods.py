"""What is compared: the operator's detector, and what is often done."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from apm_operator.anomalies.detector import Detector
from bench.anomalies.series import WEEK

if TYPE_CHECKING:
    from apm_operator.anomalies.counts import Counts
    from apm_operator.anomalies.scale import Scale


class Method(Protocol):
    """Watches one series of an agent."""

    @property
    def alarm(self) -> bool:
        """Whether something is not as usual."""

    def observe(self, when: float, counts: Counts | None) -> None:
        """See Detector.observe."""


class Ours:
    """The detector of the operator."""

    def __init__(self, scale: Scale, _: int) -> None:
        self._detector = Detector(scale)

    def observe(self, when: float, counts: Counts | None) -> None:
        """See Method."""
        self._detector.observe(when, counts)

    @property
    def alarm(self) -> bool:
        """See Method."""
        return self._detector.finding is not None


class ZScore:
    """Mean and standard deviation of all that was, and three of them; silent in the first week."""

    def __init__(self, scale: Scale, step: int) -> None:
        self._name, self._silent = scale.name, WEEK // step
        self._count, self._mean, self._squares = 0, 0.0, 0.0
        self.alarm = False

    def observe(self, _: float, counts: Counts | None) -> None:
        """See Method."""
        value = None if counts is None else self._value(counts)
        if value is None:
            self.alarm = False
            return
        deviation = math.sqrt(self._squares / self._count) if self._count else 0.0
        learned = self._count > self._silent
        self.alarm = learned and deviation > 0 and abs(value - self._mean) > 3 * deviation
        self._count += 1
        off = value - self._mean
        self._mean += off / self._count
        self._squares += off * (value - self._mean)

    def _value(self, counts: Counts) -> float | None:
        if self._name == "run_rate":
            return counts.runs
        total = {"error_rate": counts.failed, "latency": counts.seconds, "tokens_per_run": counts.tokens}[self._name]
        return total / counts.runs if counts.runs else None
