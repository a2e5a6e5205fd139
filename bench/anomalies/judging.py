"""Which alarms were right."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apm_operator.anomalies.counts import SPAN
from apm_operator.anomalies.scale import SCALES, Scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.anomalies.injected import Injected
    from bench.anomalies.methods import Method
    from bench.anomalies.series import Series

_TAKEN_IN = 3 * 86_400
"""For so long after its end, what was odd may still be told of by the series that it was in."""


@dataclass
class Score:
    """What came of it; an alarm is a stretch of time, however long."""

    found: int = 0
    missed: int = 0
    false: int = 0
    days: float = 0.0
    delays: list[float] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Count another one in."""
        self.found += other.found
        self.missed += other.missed
        self.false += other.false
        self.days += other.days
        self.delays += other.delays

    def told(self) -> dict[str, float | None]:
        """For one line of the output."""
        return {
            "precision": _share(self.found, self.found + self.false),
            "recall": _share(self.found, self.found + self.missed),
            "false_alarms_per_agent_and_week": round(self.false / self.days * 7, 3),
            "median_delay_minutes": round(statistics.median(self.delays) / 60) if self.delays else None,
        }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def judge(series: Series, method: Callable[[Scale, int], Method]) -> Score:
    """Count the alarms of one agent."""
    watchers = {scale.name: method(scale, series.step) for scale in SCALES if scale.name in series.watched}
    before = dict.fromkeys(watchers, False)
    score = Score(days=series.days)
    since: dict[Injected, float] = {}
    for when, counts in series.windows():
        for name, watcher in watchers.items():
            watcher.observe(when, counts)
            new = watcher.alarm and not before[name]
            before[name] = watcher.alarm
            if not new or when < series.judged:
                continue
            odd = [each for each in series.odd if each.begin <= when < each.end + _TAKEN_IN]
            for each in odd:
                if name == each.series and when < each.end + SPAN:
                    since.setdefault(each, when)
            score.false += not any(name in (each.series, *each.also) for each in odd)
    score.found, score.missed = len(since), len(series.odd) - len(since)
    score.delays = [when - each.begin for each, when in since.items()]
    return score
