"""Numbers and times as people read them. What is not known is said to be."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from apm_operator.report.figures import Span

UNKNOWN = "unknown"
NONE = "-"
_BIG = ((1e9, "G"), (1e6, "M"), (1e4, "k"))
_BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def whole(value: float | None) -> str:
    """A count. Prometheus' counts of a span are not whole: it extends what it saw to the span's ends."""
    if value is None:
        return UNKNOWN
    for size, unit in _BIG:
        if value >= size:
            return f"{value / (1000 if unit == 'k' else size):.1f} {unit}"
    return f"{value:.0f}"


def money(value: float | None) -> str:
    """A cost, without its currency: that is the one of the models' `price`."""
    return UNKNOWN if value is None else f"{value:.2f}" if value >= 1 or not value else f"{value:.4f}"


def part(value: float | None, absent: str = NONE) -> str:
    """A part of 1 as percent. It is 100 % only where it is all: 9,999 of 10,000 are 99.99 %."""
    if value is None:
        return absent
    for digits in (1, 2, 3, 4):
        text = f"{value * 100:.{digits}f}"
        if float(text) < 100 or value >= 1:  # noqa: PLR2004  percent
            return f"{text.removesuffix('.0')} %"
    return "99.9999 %"


def span(seconds: float | None, absent: str = NONE) -> str:
    """A length of time."""
    if seconds is None:
        return absent
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 or not seconds else f"{seconds * 1000:.0f} ms"


def size(value: float | None) -> str:
    """Bytes."""
    if value is None:
        return NONE
    for unit_size, unit in _BYTES:
        if value >= unit_size:
            return f"{value / unit_size:.1f} {unit}"
    return f"{value:.0f} B"


def moment(value: datetime | None, zone: str, absent: str = NONE) -> str:
    """A time to the minute."""
    return absent if value is None else value.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def spanned(told: Span) -> str:
    """From when to when."""
    return f"{moment(told.start, told.zone)} to {moment(told.end, told.zone)} ({told.zone})"


def labelled(start: datetime, told: Span) -> str:
    """A slice of the span below a plot: the hour, or the day where a slice is one."""
    local = start.astimezone(ZoneInfo(told.zone))
    return local.strftime("%H:%M" if told.slice_seconds < 86_400 else "%a %d")  # noqa: PLR2004  a day
