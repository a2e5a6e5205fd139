from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from apm_operator.anomalies.counts import SPAN, Counts
from apm_operator.anomalies.memory import Memory, Usual
from apm_operator.anomalies.scale import Scale

HOUR = 3600
_DAY = 86_400
_RAISE = 5.0
"""Standard deviations, as learned, from which on a value is not as usual; below half of it, it is again."""
_LASTING = 2.0
"""What is further off than so many standard deviations adds up, slot by slot; what is less far off takes away again."""
_ENOUGH = 8.0
"""When more has come together, as from nine slots that are three standard deviations off, `_LASTING` are enough."""
_HOLD_SECONDS = 110
"""For so long it has to last: one scrape that went wrong is nothing."""
_CALM_SECONDS = 1800
_UNSEEN_SECONDS = 43_200
"""Without values nothing has become better; after so long nobody waits for it any more."""
_ACCEPT_SECONDS = 2 * _DAY
"""What has lasted for so long is the new usual."""
_CLIP = 3.0
_DRIFT_SLOTS = _DAY // SPAN
_DRIFT = 1.5
"""Mean deviation over about a day, in standard deviations of one value: chance gives about a fifth of it."""
_TAIL = 1.96
_TAIL_SHARE = 0.05
_TAIL_STEP = 0.05
"""The factor moves so that one value in twenty is beyond 1.96 standard deviations."""
_FACTOR = (0.7, 10.0)
_SETTLING_SLOTS = _DRIFT_SLOTS
"""Slots with something usual to compare with, before anything is told."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as usual.

    Attributes:
        series: name of the series.
        since: when it was first seen, in seconds since 1970.
        text: what is not as usual, against what, for a person.
        drift: whether it has come slowly.
    """

    series: str
    since: float
    text: str
    drift: bool = False


class Detector:
    """Watches one series.

    Values are compared with the same hour of the week as it was before (`Memory`). How wide they scatter is the spread
    over the weeks, the noise of small numbers, and a factor that is learned from the series itself. What is off for
    hours is told even where values scatter so widely that a single one does not tell: deviations add up.

    Attributes:
        finding: what is not as usual now; None where all is, or too little has been seen.
    """

    __slots__ = (
        *("_above", "_abnormal_since", "_below", "_calm_since", "_factor", "_hour", "_mean", "_memory", "_off"),
        *("_scale", "_seen", "_settled", "_slot", "_spread", "_values", "_width", "finding"),
    )

    def __init__(self, scale: Scale) -> None:
        self._scale = scale
        self._memory = Memory()
        self._factor = 1.0
        self._spread = 0.0
        self._width = 0.0
        self._mean = 0.0
        self._off = 0.0
        self._above = self._below = 0.0
        self._slot = self._hour = -1
        self._settled = 0
        self._values: list[float] = []
        self._abnormal_since: float | None = None
        self._calm_since: float | None = None
        self._seen = 0.0
        self.finding: Finding | None = None

    @property
    def settled(self) -> bool:
        """Whether enough has been seen to tell of anything."""
        return self._settled >= _SETTLING_SLOTS

    def observe(self, time: float, counts: Counts | None) -> None:
        """Judge what was counted in the `SPAN` seconds before `time`, and learn from it once per `SPAN`.

        Args:
            time: in seconds since 1970; not before that of the last call.
            counts: of the agent; None where nothing is known.
        """
        hour, slot = int(time) // HOUR, int(time) // SPAN
        if hour != self._hour:
            self._end_hour(hour)
        value = self._scale.place(counts) if counts is not None else None
        usual = self._memory.usual(hour)
        if counts is None or value is None or usual is None:
            self._give_up(time)
            if value is not None and slot != self._slot:
                self._values.append(value)
        else:
            spread = (usual.spread + self._spread) / 2 if self._spread else usual.spread
            width = self._factor * max(math.hypot(spread, self._scale.noise(counts, usual.centre)), 0.01)
            if slot != self._slot:
                self._add_up((value - usual.nearest(value)) / width)
            self._judge(time, value, usual, width)
            if slot != self._slot:
                self._learn(value, usual.centre, width, usual.spread)
            self._accept(time)
        self._slot = slot

    def _judge(self, time: float, value: float, usual: Usual, width: float) -> None:
        self._seen = time
        nearest = usual.nearest(value)
        off = value - nearest
        lasts = (self._above if off > 0 else self._below) > _ENOUGH
        if self._tells(off, (_LASTING if lasts else _RAISE) * width):
            self._calm_since = None
            if self._abnormal_since is None:
                self._abnormal_since = time
            if self.finding is None and time - self._abnormal_since >= _HOLD_SECONDS and self.settled:
                self._off = off
                when = f"for {datetime.fromtimestamp(self._abnormal_since, UTC):%A %H:00} UTC"
                text = self._scale.words(value, nearest, when)
                self.finding = Finding(self._scale.name, self._abnormal_since, text)
            return
        self._abnormal_since = None
        if self.finding is None:
            if self.settled and self._tells(self._mean, _DRIFT * self._width):
                text = self._scale.words(usual.centre + self._mean, usual.centre, "over the last day")
                self.finding = Finding(self._scale.name, time, text, drift=True)
        elif abs(self._mean if self.finding.drift else off) < self._limit() / 2:
            self._calm_since = time if self._calm_since is None else self._calm_since
            if time - self._calm_since >= _CALM_SECONDS:
                self._clear()
        else:
            self._calm_since = None

    def _limit(self) -> float:
        drifts = self.finding is not None and self.finding.drift
        return max((_DRIFT if drifts else _RAISE) * self._width, self._scale.least)

    def _tells(self, off: float, limit: float) -> bool:
        return abs(off) > max(limit, self._scale.least) and (off > 0 or self._scale.falls)

    def _learn(self, value: float, usual: float, width: float, spread: float) -> None:
        self._settled = min(self._settled + 1, _SETTLING_SLOTS)
        off = value - usual
        self._values.append(usual + min(max(off, -_CLIP * width), _CLIP * width))
        self._spread += (spread - self._spread) / _DRIFT_SLOTS if self._spread else spread
        self._width += (width - self._width) / _DRIFT_SLOTS if self._width else width
        if self._abnormal_since is not None or (self.finding is not None and not self.finding.drift):
            self._off += (off - self._off) / (HOUR * 4 // SPAN)
            return
        self._mean += (min(max(off, -_CLIP * width), _CLIP * width) - self._mean) / _DRIFT_SLOTS
        above = abs(off - self._mean) > _TAIL * width
        step = _TAIL_STEP * ((1 - _TAIL_SHARE) if above else -_TAIL_SHARE)
        self._factor = min(max(self._factor * math.exp(step), _FACTOR[0]), _FACTOR[1])

    def _add_up(self, deviations: float) -> None:
        # Bounded on both sides: neither does one value tell alone, nor is it remembered long that something has lasted.
        bounded = min(max(deviations, -_RAISE), _RAISE)
        self._above = min(max(self._above + bounded - _LASTING, 0.0), 2 * _ENOUGH)
        self._below = min(max(self._below - bounded - _LASTING, 0.0), 2 * _ENOUGH)

    def _accept(self, time: float) -> None:
        if self.finding is not None and time - self.finding.since >= _ACCEPT_SECONDS:
            self._memory.shift(self._mean if self.finding.drift else self._off)
            self._mean = 0.0
            self._clear()

    def _give_up(self, time: float) -> None:
        self._abnormal_since = None
        if time - self._seen >= _UNSEEN_SECONDS:
            self._clear()

    def _clear(self) -> None:
        self.finding = self._abnormal_since = self._calm_since = None
        self._above = self._below = 0.0

    def _end_hour(self, hour: int) -> None:
        if self._hour >= 0:
            self._memory.put(self._hour, median(self._values) if self._values else None)
        self._values.clear()
        self._hour = hour
