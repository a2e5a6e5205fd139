"""What an agent counted in each quarter of an hour, as lines of a CSV file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apm_operator.anomalies.counts import Counts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

COLUMNS = ("runs", "failed", "milliseconds", "tokens", "made")


@dataclass(frozen=True)
class Row:
    """One quarter of an hour.

    Attributes:
        counts: None where nothing is known.
        made: what was made to go wrong in it; empty where nothing was.
    """

    counts: Counts | None
    made: str = ""


def read(path: Path) -> list[Row]:
    """The rows of a file, which begins on a Monday at 00:00 UTC."""
    with path.open(newline="") as file:
        lines = csv.reader(file)
        if tuple(head := next(lines, [])) != COLUMNS:
            raise ValueError(f"{path} has the columns {head}, not {list(COLUMNS)}")
        return [_row(line) for line in lines]


def write(path: Path, rows: Iterable[Row]) -> None:
    """Keep rows in a file."""
    with path.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(COLUMNS)
        for row in rows:
            counts = row.counts
            values = ("",) * 4 if counts is None else _values(counts)
            lines.writerow((*values, row.made))


def _values(counts: Counts) -> tuple[int, ...]:
    return tuple(round(value) for value in (counts.runs, counts.failed, counts.seconds * 1000, counts.tokens))


def _row(line: list[str]) -> Row:
    *values, made = line
    if not any(values):
        return Row(None, made)
    runs, failed, milliseconds, tokens = (float(value) for value in values)
    return Row(Counts(runs, failed, milliseconds / 1000, tokens), made)
