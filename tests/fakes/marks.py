"""What the nodes of `fakes.steps` told in a file, by whichever process."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from fakes.steps import NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Mark(NamedTuple):
    """A node began or ended; `moment` is monotonic, by a clock that the machine's processes share."""

    node: str
    verb: str
    pid: int
    moment: float


def marks(file: Path) -> list[Mark]:
    """All that was told, in order."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [Mark(node, verb, int(pid), float(moment)) for node, verb, pid, moment in map(str.split, lines)]


@dataclass(frozen=True)
class Course:
    """How a run went on, over all its attempts."""

    marks: Sequence[Mark]

    @property
    def repeated(self) -> list[str]:
        """Nodes that began although one behind them had begun: they had finished before."""
        begun = [mark.node for mark in self.marks if mark.verb == "begins"]
        return [later for before, later in pairwise(begun) if NAMES.index(later) < NAMES.index(before)]

    def longest_gap(self, kills: Sequence[float]) -> float:
        """Seconds from the last kill to the next sign of life, at most, where another process went on with the run."""
        gaps = [0.0]
        for before, after in pairwise(self.marks):
            between = [kill for kill in kills if before.moment < kill < after.moment]
            if between and before.pid != after.pid:
                gaps.append(after.moment - between[-1])
        return max(gaps)
