"""Plots as SVG, which stand in the page itself, and as a line of text for where no picture is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from apm_operator.report.figures import total

_BLOCKS = "▁▂▃▄▅▆▇█"
_ABSENT = "·"
_WIDTH, _HEIGHT, _LEFT, _TOP, _FOOT = 640, 140, 8, 22, 18
_LABELS = 8
_PERCEPTIBLE = 1.0
"""Pixels that what is not 0 has at least: 1 failed run of 10,000 is to be seen."""

_OPENING = (
    f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
    f'height="{_HEIGHT}" style="max-width:100%;height:auto" font-family="sans-serif" font-size="11">'
)


@dataclass(frozen=True, slots=True)
class Layer:
    """Bars of one colour, which stand on those of the layers before; None where a value is not known."""

    name: str
    colour: str
    values: Sequence[float | None]


def sparkline(values: Sequence[float | None]) -> str:
    """The values as blocks, the largest as the full one; a dot where one is not known."""
    largest = max((value for value in values if value is not None), default=0.0)
    return "".join(_block(value, largest) for value in values)


def _block(value: float | None, largest: float) -> str:
    if value is None:
        return _ABSENT
    if not value or not largest:
        return _BLOCKS[0]
    return _BLOCKS[max(1, min(round(value / largest * (len(_BLOCKS) - 1)), len(_BLOCKS) - 1))]


def bars(title: str, labels: Sequence[str], layers: Sequence[Layer], largest: str) -> str:
    """Bars over time; `largest` is what the highest stands for, as text.

    A value that is not known has a thin grey line at its place instead of a bar.
    """
    sums = [total(layer.values[at] for layer in layers) for at in range(len(labels))]
    top = max((value for value in sums if value is not None), default=0.0)
    step = (_WIDTH - 2 * _LEFT) / max(len(labels), 1)
    drawn = [
        _OPENING,
        f"<title>{escape(title)}</title>",
        f'<text x="{_LEFT}" y="13" font-weight="bold">{escape(title)}</text>',
        f'<text x="{_WIDTH - _LEFT}" y="13" text-anchor="end">highest: {escape(largest)}</text>',
    ]
    for at, known in enumerate(sums):
        left = _LEFT + at * step
        drawn += _absent(left, step) if known is None else _bar(left, step, [(x, x.values[at]) for x in layers], top)
    foot = _HEIGHT - _FOOT
    drawn.append(f'<path d="M{_LEFT} {foot}H{_WIDTH - _LEFT}" stroke="#888"/>')
    every = -(-len(labels) // _LABELS) or 1
    drawn += [
        f'<text x="{_LEFT + (at + 0.5) * step:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(label)}</text>'
        for at, label in enumerate(labels)
        if at % every == 0
    ]
    return "".join([*drawn, "</svg>"])


def _bar(left: float, step: float, values: Sequence[tuple[Layer, float | None]], top: float) -> list[str]:
    drawn, foot = [], float(_HEIGHT - _FOOT)
    for layer, value in values:
        if not value or not top:
            continue
        height = max(value / top * (_HEIGHT - _TOP - _FOOT), _PERCEPTIBLE)
        foot -= height
        drawn.append(
            f'<rect x="{left + step * 0.1:.1f}" y="{foot:.1f}" width="{step * 0.8:.1f}" height="{height:.1f}" '
            f'fill="{layer.colour}"/>'
        )
    return drawn


def _absent(left: float, step: float) -> list[str]:
    middle = left + step / 2
    return [f'<path d="M{middle:.1f} {_TOP}V{_HEIGHT - _FOOT}" stroke="#bbb" stroke-dasharray="2 3"/>']
