"""Draws the panels' data as SVG, for the documentation: Grafana itself looks different."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from deploy.dashboard.panel import Panel

Points = Sequence[tuple[float, float]]
"""Time in seconds since 1970, and value."""

_WIDTH, _COLUMNS, _GAP = 1240, 4, 8
_HEAD, _NUMBER, _GRAPH = 30, 64, 150
_INK, _FAINT, _PAPER, _GROUND = "#1f2430", "#8a90a0", "#ffffff", "#f3f4f7"
_COLOURS = ("#3871dc", "#e0752d", "#3f9c4b", "#b53a8e", "#c4a200", "#2fa5a5", "#d44a3a", "#7a5fd3")
_PRECISE = 100
"""From here on numbers have no decimals."""
_NAMED, _LONGEST = 4, 24
"""Series that a legend names, and characters of a name."""
_STEPS = {
    "bytes": ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")),
    "Bps": ((1 << 20, "MiB/s"), (1 << 10, "KiB/s"), (1, "B/s")),
    "s": ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "us")),
}
_SUFFIXES = {"percentunit": "%", "reqps": "/s", "ops": "/s", "short": ""}


@dataclass(frozen=True)
class _Box:
    """Where a panel is drawn, in pixels."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Series:
    """One line of a panel."""

    legend: str
    points: Points


Drawn = Mapping[str, Sequence[tuple[Panel, Sequence[Series]]]]
"""The panels of each section, with their data."""


def svg(sections: Drawn) -> str:
    """The whole dashboard."""
    parts: list[str] = []
    top = float(_GAP)
    for title, panels in sections.items():
        parts.append(_text(_GAP, top + 20, title, size=15, weight="bold"))
        top += _HEAD
        for row in _rows(panels):
            height = _NUMBER if row[0][0].single else _GRAPH
            width = (_WIDTH - _GAP) / (len(row) if row[0][0].single else _COLUMNS) - _GAP
            for place, (panel, series) in enumerate(row):
                parts += _panel(panel, series, _Box(_GAP + place * (width + _GAP), top, width, height))
            top += height + _GAP
    size = f'width="{_WIDTH}" height="{top:.0f}" viewBox="0 0 {_WIDTH} {top:.0f}"'
    ground = f'<rect width="{_WIDTH}" height="{top:.0f}" fill="{_GROUND}"/>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">',
            ground,
            *parts,
            "</svg>\n",
        ]
    )


def legend(form: str, labels: Mapping[str, str]) -> str:
    """The name of a series: labels in double braces are filled in, as Grafana does it."""
    return re.sub(r"{{(\w+)}}", lambda hole: labels.get(hole[1], ""), form).strip(" /")


def value(number: float, unit: str) -> str:
    """A number with its unit, in about three digits."""
    if unit == "percentunit":
        number *= 100
    size, suffix = 1.0, _SUFFIXES.get(unit, unit)
    if (steps := _STEPS.get(unit)) is not None:
        size, suffix = next((step for step in steps if abs(number) >= step[0]), steps[-1])
        if not number:
            size, suffix = next(step for step in steps if step[0] == 1)
    shown = number / size
    return f"{shown:.0f} {suffix}".rstrip() if abs(shown) >= _PRECISE else f"{shown:.3g} {suffix}".rstrip()


def _rows(panels: Sequence[tuple[Panel, Sequence[Series]]]) -> Iterator[Sequence[tuple[Panel, Sequence[Series]]]]:
    """Numbers stand in one row, graphs in rows of some."""
    if numbers := [each for each in panels if each[0].single]:
        yield numbers
    graphs = [each for each in panels if not each[0].single]
    for start in range(0, len(graphs), _COLUMNS):
        yield graphs[start : start + _COLUMNS]


def _panel(panel: Panel, series: Sequence[Series], box: _Box) -> Iterator[str]:
    left, top = box.left, box.top
    yield f'<rect x="{left:.0f}" y="{top:.0f}" width="{box.width:.0f}" height="{box.height}" rx="3" fill="{_PAPER}"/>'
    yield _text(left + 8, top + 16, panel.title, size=11, weight="bold")
    known = [Series(one.legend, [point for point in one.points if math.isfinite(point[1])]) for one in series]
    known = [one for one in known if one.points]
    if not known:
        yield _text(left + 8, top + box.height / 2, "no data", fill=_FAINT)
    elif panel.single:
        yield _text(left + 8, top + 48, value(known[0].points[-1][1], panel.unit), size=22, fill=_COLOURS[2])
    else:
        yield from _lines(panel, known, box)
        yield from _names(known, box)


def _lines(panel: Panel, series: Sequence[Series], box: _Box) -> Iterator[str]:
    begin = min(one.points[0][0] for one in series)
    end = max(*(one.points[-1][0] for one in series), begin + 1)
    most = max(point[1] for one in series for point in one.points)
    most = most if most > 0 else 1.0
    x, y, wide, high = box.left + 58, box.top + 26, box.width - 68, 78.0
    for part in (0.0, 0.5, 1.0):
        level = y + high * (1 - part)
        yield f'<path d="M{x:.0f} {level:.0f}h{wide:.0f}" stroke="#e3e5ea"/>'
        yield _text(x - 4, level + 3, value(most * part, panel.unit), size=9, fill=_FAINT, anchor="end")
    for number, one in enumerate(series):
        path = " ".join(
            f"{x + wide * (when - begin) / (end - begin):.1f},{y + high * (1 - max(0.0, amount) / most):.1f}"
            for when, amount in one.points
        )
        colour = _COLOURS[number % len(_COLOURS)]
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.4"/>'


def _names(series: Sequence[Series], box: _Box) -> Iterator[str]:
    for number, one in enumerate(series[:_NAMED]):
        name = one.legend if len(one.legend) <= _LONGEST else f"{one.legend[: _LONGEST - 1]}…"
        at = box.left + 8 + (number % 2) * (box.width / 2)
        yield _text(at, box.top + 120 + 13 * (number // 2), name, size=9, fill=_COLOURS[number % len(_COLOURS)])
    if len(series) > _NAMED:
        more = f"and {len(series) - _NAMED} more"
        yield _text(box.left + box.width - 8, box.top + 16, more, size=9, fill=_FAINT, anchor="end")


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 11,
    fill: str = _INK,
    weight: str = "normal",
    anchor: str = "start",
) -> str:
    look = f'font-size="{size}" fill="{fill}"'
    look += f' font-weight="{weight}"' if weight != "normal" else ""
    look += f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" {look}>{escape(text)}</text>'
