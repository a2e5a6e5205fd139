"""Finds injected anomalies in synthetic series of agents: precision and recall, against a plain z-score.

Each agent has its own daily and weekly rhythm, size, share of failures and scatter. In the last of six weeks one thing
is injected into one of its series, or nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from apm_operator.anomalies.agent import AgentDetector
from apm_operator.anomalies.counts import SPAN, Counts
from apm_operator.anomalies.detector import Detector
from apm_operator.anomalies.scale import SCALES, Scale

STEP = 300
START = 1_767_571_200  # a Monday, 00:00 UTC
WEEK = 7 * 86_400
WEEKS = 6
TAKEN_IN = 3 * 86_400
"""An alarm counts for an anomaly for so long after its end."""


@dataclass(frozen=True)
class Injected:
    """What is made to differ from `begin` to `end` (seconds since 1970), by a factor that a drift grows up to."""

    shape: str
    series: str
    begin: float
    end: float
    factor: float

    def at(self, when: float) -> float:
        """The factor at a time."""
        if not self.begin <= when < self.end:
            return 1.0
        if self.shape != "drift":
            return self.factor
        return math.exp(math.log(self.factor) * min((when - self.begin) / (5 * 86_400), 1.0))


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
            runs = _poisson(draw, rate * math.exp(mood) * self._factor("run_rate", when))
            failed = _binomial(draw, runs, min(self.failing * self._factor("error_rate", when), 1.0), self, when)
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


def _poisson(draw: random.Random, mean: float) -> int:
    if mean > 40:  # noqa: PLR2004
        return max(round(draw.gauss(mean, math.sqrt(mean))), 0)
    limit, count, product = math.exp(-mean), 0, draw.random()
    while product > limit:
        count, product = count + 1, product * draw.random()
    return count


def _binomial(draw: random.Random, runs: int, share: float, agent: Agent, when: float) -> int:
    injected = agent.injected
    if injected is not None and injected.series == "error_rate" and injected.begin <= when < injected.end:
        share = max(share, injected.at(when) / 20)  # those who never fail begin to
    return sum(draw.random() < share for _ in range(runs))


def windows(agent: Agent) -> Iterator[tuple[float, Counts]]:
    """What the operator would see every five minutes: the sums over the last quarter of an hour."""
    last: deque[Counts] = deque(maxlen=SPAN // STEP)
    for when, counts in agent.steps():
        last.append(counts)
        yield (
            when,
            Counts(
                sum(each.runs for each in last),
                sum(each.failed for each in last),
                sum(each.seconds for each in last),
                sum(each.tokens for each in last),
            ),
        )


class ZScore:
    """What is often done: mean and standard deviation of all that was, and three of them."""

    def __init__(self, scale: Scale) -> None:
        self._name = scale.name
        self._count, self._mean, self._squares = 0, 0.0, 0.0
        self.alarm = False

    def observe(self, _: float, counts: Counts) -> None:
        """See Detector.observe."""
        value = self._value(counts)
        if value is None:
            self.alarm = False
            return
        deviation = math.sqrt(self._squares / self._count) if self._count else 0.0
        learned = self._count > 2 * WEEK // STEP / 2
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


class Ours:
    """The detector of the operator."""

    def __init__(self, scale: Scale) -> None:
        self._detector = Detector(scale)

    def observe(self, when: float, counts: Counts) -> None:
        """See Detector.observe."""
        self._detector.observe(when, counts)

    @property
    def alarm(self) -> bool:
        """Whether something is not as usual."""
        return self._detector.finding is not None


@dataclass
class Score:
    """What came of it; an alarm is a stretch of time, however long."""

    found: int = 0
    missed: int = 0
    false: int = 0
    delays: list[float] = field(default_factory=list)

    def told(self, shape: str, method: str, days: float) -> dict[str, object]:
        """For one line of the output."""
        precision = self.found / (self.found + self.false) if self.found + self.false else None
        recall = self.found / (self.found + self.missed) if self.found + self.missed else None
        return {
            "injected": shape,
            "method": method,
            "precision": _rounded(precision),
            "recall": _rounded(recall),
            "false_alarms_per_agent_and_week": round(self.false / days * 7, 3),
            "median_delay_minutes": round(statistics.median(self.delays) / 60) if self.delays else None,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def judge(agent: Agent, method: Callable[[Scale], Ours | ZScore]) -> Score:
    """Count the alarms of the last two weeks."""
    watchers = [(scale.name, method(scale)) for scale in SCALES]
    injected, score = agent.injected, Score()
    before = dict.fromkeys((name for name, _ in watchers), False)
    since: float | None = None
    for when, counts in windows(agent):
        for name, watcher in watchers:
            watcher.observe(when, counts)
            new = watcher.alarm and not before[name]
            before[name] = watcher.alarm
            if not new or when < START + (WEEKS - 2) * WEEK:
                continue
            if injected is not None and injected.begin <= when < injected.end + TAKEN_IN:
                if name == injected.series and since is None and when < injected.end + SPAN:
                    since = when
                elif name != injected.series or when >= injected.end + SPAN:
                    score.false += name != injected.series
                continue
            score.false += 1
    if injected is not None:
        score.found, score.missed = int(since is not None), int(since is None)
        score.delays = [since - injected.begin] if since is not None else []
    return score


def injections(shape: str, seed: int) -> Injected | None:
    """One anomaly of a shape; None where nothing is injected into the rhythm of days and weeks."""
    draw = random.Random(seed * 7919 + len(shape))  # noqa: S311
    series = draw.choice([scale.name for scale in SCALES])
    begin = START + (WEEKS - 1) * WEEK + draw.randrange(24) * 3600 + draw.randrange(12) * STEP
    last = WEEKS * WEEK + START
    up = {"point": (4.0, 10.0), "level shift": (2.5, 6.0), "slow drift": (2.5, 4.0)}
    if shape == "seasonality":
        return None
    factor = draw.uniform(*up[shape])
    if shape == "point":
        noon = begin - begin % 86_400 + 10 * 3600 + draw.randrange(72) * STEP
        return Injected("point", series, noon, noon + 1800, factor)
    if shape == "slow drift":
        return Injected("drift", series, begin, last, factor)
    return Injected("shift", series, begin, last, factor)


def memory(agents: int = 100) -> float:
    """Bytes that one agent's detectors take."""
    tracemalloc.start()
    kept = [AgentDetector() for _ in range(agents)]
    for number in range(8):
        for each in kept:
            each.observe(START + number * SPAN, Counts(10 + number, 1, 20.0, 5000.0))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken / len(kept)


def main() -> int:
    """Print one line for each shape and method, and what the detectors cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=12, help="agents for each shape of anomaly")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    spent, observed = 0.0, 0
    for shape in ("point", "level shift", "slow drift", "seasonality"):
        for method, make in (("detector", Ours), ("z-score", ZScore)):
            total = Score()
            for number in range(given.agents):
                seed = given.seed * 1000 + number
                begun = time.process_time()
                one = judge(Agent(seed, injections(shape, seed)), make)
                if make is Ours:
                    spent, observed = spent + time.process_time() - begun, observed + WEEKS * WEEK // STEP
                total = replace(
                    total,
                    found=total.found + one.found,
                    missed=total.missed + one.missed,
                    false=total.false + one.false,
                    delays=total.delays + one.delays,
                )
            print(json.dumps(total.told(shape, method, given.agents * 14)), flush=True)
    print(
        json.dumps(
            {"bytes_per_agent": round(memory()), "microseconds_per_agent_and_look": round(spent / observed * 1e6, 1)}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
