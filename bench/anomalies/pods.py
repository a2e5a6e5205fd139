"""Agents that `bench.record` has recorded: all counts are those of a pod's process.

What is injected is put into the last calm week afterwards: counts are multiplied, or runs that ended well have failed.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from apm_operator.anomalies.counts import SPAN, Counts
from bench.anomalies.injected import Injected, injection
from bench.anomalies.series import NAMES, START, WEEK, Series
from bench.crowds import CALM_WEEKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.anomalies.recording import Row

_SHOWS = {
    "slow model": "latency",
    "refusing model": "error_rate",
    "long answers": "tokens_per_run",
    "crowd": "run_rate",
    "nobody": "run_rate",
}
_CALM = START + CALM_WEEKS * WEEK


def agents(rows: Sequence[Row], shape: str, count: int, seed: int) -> Iterator[Series]:
    """The agent so many times, each with an anomaly of a shape; just once where there is none."""
    for number in range(seed * 1000, seed * 1000 + count):
        odd = injection(shape, number, _CALM - WEEK, _CALM)
        steps = [each for each in _steps(rows) if each[0] <= _CALM]
        if odd is None:
            yield Series(SPAN, steps, _CALM - WEEK)
            return
        draw, usual = random.Random(number), _failing(rows)  # noqa: S311
        changed = [
            (end, None if counts is None else odd.into(counts, end - SPAN, usual, draw)) for end, counts in steps
        ]
        yield Series(SPAN, changed, _CALM - WEEK, (odd,))


def known(rows: Sequence[Row]) -> Series:
    """The agent with what was made to go wrong in its last week."""
    odd: list[Injected] = []
    for number, row in enumerate(rows):
        begin = START + number * SPAN
        if not row.made:
            continue
        if number and rows[number - 1].made == row.made:
            begin = int(odd.pop().begin)
        series = _SHOWS[row.made]
        others = tuple(name for name in NAMES if name != series)
        odd.append(Injected(row.made, series, begin, START + (number + 1) * SPAN, also=others))
    return Series(SPAN, _steps(rows), _CALM, tuple(odd))


def _steps(rows: Sequence[Row]) -> list[tuple[float, Counts | None]]:
    return [(START + (number + 1) * SPAN, row.counts) for number, row in enumerate(rows)]


def _failing(rows: Sequence[Row]) -> float:
    calm = [row.counts for row in rows if row.counts is not None and not row.made]
    return sum(each.failed for each in calm) / max(sum(each.runs for each in calm), 1.0)
