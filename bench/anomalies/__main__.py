"""Finds anomalies in series of agents, made up and recorded: precision and recall, against a plain z-score."""

from __future__ import annotations

import argparse
import json
import sys
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

from apm_operator.anomalies.agent import AgentDetector
from apm_operator.anomalies.counts import SPAN, Counts
from bench.anomalies import pods, recording, synthetic, water, wheel
from bench.anomalies.injected import SHAPES
from bench.anomalies.judging import Score, judge
from bench.anomalies.methods import Method, Ours, ZScore
from bench.anomalies.series import START
from bench.packages import NotThereError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from apm_operator.anomalies.scale import Scale
    from bench.anomalies.series import Series

RECORDINGS = Path(__file__).parents[1] / "recordings"
_METHODS: dict[str, Callable[[Scale, int], Method]] = {"detector": Ours, "z-score": ZScore}


def sources(agents: int, seed: int, files: Iterable[Path]) -> Iterator[tuple[str, str, Iterable[Series]]]:
    """What is looked at: where the series come from, what is in them, and the series."""
    for shape in SHAPES:
        yield "synthetic", shape, synthetic.agents(shape, agents, seed)
    try:
        flows = water.read(wheel.folder() / "river" / "datasets" / "water-flow.csv")
    except NotThereError as error:
        print(json.dumps({"source": "water flow", "missing": str(error)}), flush=True)
    else:
        for shape in SHAPES:
            yield "water flow", shape, water.agents(flows, shape, agents, seed)
        yield "water flow", "known", water.known(flows, agents, seed)
    for file in files:
        rows = recording.read(file)
        for shape in SHAPES:
            yield f"pod {file.stem}", shape, pods.agents(rows, shape, agents, seed)
        yield f"pod {file.stem}", "known", [pods.known(rows)]


def cost(agents: int = 100) -> dict[str, float]:
    """What the detectors of one agent take."""
    tracemalloc.start()
    kept = [AgentDetector() for _ in range(agents)]
    for number in range(8):
        for each in kept:
            each.observe(START + number * SPAN, Counts(10 + number, 1, 20.0, 5000.0))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (series,) = synthetic.agents("seasonality", 1, 1)
    watched, begun = AgentDetector(), time.process_time()
    for when, counts in series.windows():
        watched.observe(when, counts)
    spent = (time.process_time() - begun) / len(series.steps)
    return {"bytes_per_agent": round(taken / len(kept)), "microseconds_per_agent_and_look": round(spent * 1e6, 1)}


def main() -> int:
    """Print one line for each source, shape and method, and what the detectors cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=12, help="agents for each shape, and of each size or recording")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recording", type=Path, action="append", help="a file as `bench.record` writes it")
    given = parser.parse_args()
    for source, shape, found in sources(given.agents, given.seed, given.recording or sorted(RECORDINGS.glob("*.csv"))):
        scores = {name: Score() for name in _METHODS}
        for series in found:
            for name, method in _METHODS.items():
                scores[name].add(judge(series, method))
        for name, score in scores.items():
            print(json.dumps({"source": source, "injected": shape, "method": name, **score.told()}), flush=True)
    print(json.dumps(cost()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
