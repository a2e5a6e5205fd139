from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """What an agent did in a stretch of `SPAN` seconds, over all its pods.

    Attributes:
        runs: runs that ended.
        failed: those of them that ended in an error.
        seconds: time that they took, summed up.
        tokens: tokens that models reported, in both directions.
    """

    runs: float = 0.0
    failed: float = 0.0
    seconds: float = 0.0
    tokens: float = 0.0


SPAN = 900
"""Seconds that are looked at together: long enough for some runs, short enough to tell of what begins now."""
