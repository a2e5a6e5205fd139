"""A report as Markdown (GitHub's, for the tables)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from apm_operator.report.document import Document, Plot, Section, Table
from apm_operator.report.plots import sparkline

_SPECIAL = re.compile(r"([\\`*_\[\]|~])")


def markdown(found: Document) -> str:
    """The whole text; plots are lines of blocks."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Document) -> Iterator[str]:
    yield from (f"# {_plain(found.title)}", "", _plain(found.subtitle), "")
    yield from (f"- {_plain(fact)}" for fact in found.facts)
    yield from ("", "## To look at", "")
    yield from (f"- {_plain(line)}" for line in found.attention or ("Nothing that is known.",))
    for section in found.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    yield from ("", f"## {_plain(section.title)}")
    if section.note:
        yield from ("", _plain(section.note))
    if section.table is not None:
        yield ""
        yield from _table(section.table)
    if section.plots:
        yield ""
        yield from (_plot(plot) for plot in section.plots)


def _plot(plot: Plot) -> str:
    return f"- {plot.title}: `{sparkline(plot.sums)}` ({plot.labels[0]} to {plot.labels[-1]}, highest {plot.largest})"


def _table(table: Table) -> Iterator[str]:
    yield _row(table.head)
    yield _row(("---",) * len(table.head))
    yield from (_row(tuple(map(_plain, row))) for row in table.rows)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text of anybody's so that it shows as it is: in one line, without marks, tags, and commands to a terminal."""
    line = "".join(each for each in " ".join(text.split()) if each.isprintable())
    return _SPECIAL.sub(r"\\\1", line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
