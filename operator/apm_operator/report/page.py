"""A report as one HTML page that needs nothing else: no script, no style sheet, no picture from elsewhere.

Mail programs take styles from attributes only, and many leave SVG out: what the plots show stands in words as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from apm_operator.report.document import Document, Plot, Section, Table
from apm_operator.report.plots import bars

_BODY = "font-family:sans-serif;font-size:14px;color:#222;max-width:960px;margin:16px auto;padding:0 12px"
_TABLE = "border-collapse:collapse;margin:8px 0"
_CELL = "border:1px solid #ccc;padding:4px 8px;text-align:left;vertical-align:top"
_HEAD = f"{_CELL};background:#f0f0f0"
_ATTENTION = "border-left:4px solid #c62828;padding-left:12px;margin:12px 0"
_CALM = "border-left:4px solid #2e7d32;padding-left:12px;margin:12px 0"


def page(found: Document) -> str:
    """The whole page."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Document) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield f'<html lang="en"><head><meta charset="utf-8"><title>{escape(found.title)}</title></head>'
    yield f'<body style="{_BODY}">'
    yield f"<h1>{escape(found.title)}</h1>"
    yield f"<p>{escape(found.subtitle)}</p>"
    yield _list(found.facts)
    yield f'<div style="{_ATTENTION if found.attention else _CALM}"><h2>To look at</h2>'
    yield _list(found.attention or ("Nothing that is known.",))
    yield "</div>"
    for section in found.sections:
        yield from _section(section)
    yield "</body></html>"


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2>"
    if section.note:
        yield f"<p>{escape(section.note)}</p>"
    if section.table is not None:
        yield _table(section.table)
    yield from (_plot(plot) for plot in section.plots)


def _plot(plot: Plot) -> str:
    legend = ""
    if len(plot.layers) > 1:
        named = (f'<span style="color:{each.colour}">&#9632;</span> {escape(each.name)}' for each in plot.layers)
        legend = f'<p style="margin:0">{" ".join(named)}</p>'
    return f'<div style="margin:12px 0">{bars(plot.title, plot.labels, plot.layers, plot.largest)}{legend}</div>'


def _list(lines: tuple[str, ...]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _table(table: Table) -> str:
    head = "".join(f'<th style="{_HEAD}">{escape(cell)}</th>' for cell in table.head)
    rows = (
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) + "</tr>" for row in table.rows
    )
    return f'<table style="{_TABLE}"><tr>{head}</tr>{"".join(rows)}</table>'
