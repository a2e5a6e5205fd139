"""Water that flowed through a pipe in 2022, in litres per second each hour, as if each litre brought some runs.

The flow is recorded; how many runs come of it in five minutes is drawn (Poisson). Of times, tokens and failures it says
nothing, so that only the run rate is watched.
"""

from __future__ import annotations

import csv
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from apm_operator.anomalies.counts import Counts
from bench.anomalies.injected import DAY, Injected, injection
from bench.anomalies.series import WEEK, Series
from bench.crowds import poisson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEP = 300
HOUR = 3600
SIZES = (2.0, 15.0, 100.0)
"""Runs in five minutes at the usual flow, of 100 litres per second."""
_USUAL = 100.0
_MOVED = 9 * WEEK
_CALM_WEEKS = 3
_WATCHED = ("run_rate",)


def _at(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


BEGIN = _at("2022-04-04T00:00+00:00")
"""A Monday, from which on the pipe worked as usual for three weeks.

What was before it is played after the end, at the same hour of the week: most of what is known to have gone wrong was
in the first days, when there is nothing to compare with.
"""
QUIET = BEGIN + 4 * WEEK
"""From here on nothing is known to have gone wrong for two weeks, though hours are missing."""
_QUIET_WEEKS = 2
ODD = tuple(
    Injected(what, "run_rate", begin if begin >= BEGIN else begin + _MOVED, end if begin >= BEGIN else end + _MOVED)
    for what, begin, end in (
        ("low", _at("2022-03-24T08:00+01:00"), _at("2022-03-25T01:00+01:00")),
        ("low", _at("2022-03-29T08:00+02:00"), _at("2022-03-29T21:00+02:00")),
        ("small peak", _at("2022-04-03T05:00+02:00"), _at("2022-04-03T07:00+02:00")),
        ("low", _at("2022-04-27T15:00+02:00"), _at("2022-04-28T06:00+02:00")),
    )
)
"""The four that river's documentation tells of; when they were is read off the series."""


def read(path: Path) -> dict[int, float]:
    """The flow in each hour that is known, by the second at which it began."""
    with path.open(newline="") as file:
        lines = csv.reader(file)
        next(lines)
        flows = {int(_at(when)): float(flow) for when, flow in lines}
    return {when if when >= BEGIN else when + _MOVED: flow for when, flow in flows.items()}


def agents(flows: dict[int, float], shape: str, count: int, seed: int) -> Iterator[Series]:
    """So many agents of each size, with an anomaly of a shape in the quiet weeks."""
    for size in SIZES:
        for number in range(seed * 1000, seed * 1000 + count):
            last = QUIET + _QUIET_WEEKS * WEEK
            odd = injection(shape, number, QUIET + DAY, last, _WATCHED)
            steps = list(_steps(flows, size, random.Random(number), last, odd))  # noqa: S311
            yield Series(STEP, steps, QUIET, () if odd is None else (odd,), _WATCHED)


def known(flows: dict[int, float], count: int, seed: int) -> Iterator[Series]:
    """So many agents of each size, of which all counts that is not of the first three weeks."""
    for size in SIZES:
        for number in range(seed * 1000, seed * 1000 + count):
            steps = list(_steps(flows, size, random.Random(number), max(flows) + HOUR))  # noqa: S311
            yield Series(STEP, steps, BEGIN + _CALM_WEEKS * WEEK, ODD, _WATCHED)


def _steps(
    flows: dict[int, float], size: float, draw: random.Random, last: float, odd: Injected | None = None
) -> Iterator[tuple[float, Counts | None]]:
    for when in range(int(BEGIN), int(last), STEP):
        flow = flows.get(when - when % HOUR)
        if flow is None:
            yield when + STEP, None
            continue
        factor = 1.0 if odd is None else odd.at(when)
        yield when + STEP, Counts(poisson(draw, size * flow / _USUAL * factor))
