"""Reports for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apm_operator.audit.report import AgentReport, Deviation, when

_HEAD = ("NAMESPACE", "NAME", "REACHES", "REACHED BY", "RIGHTS", "SECRETS", "CERTIFICATE UNTIL", "DEVIATIONS")
_WIDTH = 14


def table(reports: Sequence[AgentReport]) -> str:
    """A line for each agent, then what is behind its numbers."""
    rows = [_HEAD, *(_row(each) for each in reports)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for each in reports:
        lines += ["", f"{each.namespace}/{each.name}", *_details(each)]
    agents, deviations = len(reports), sum(each.open for each in reports)
    known = sum(len(each.deviations) for each in reports) - deviations
    lines += ["", f"{_count(agents, 'agent')}, {_count(deviations, 'deviation')}, {known} accepted"]
    return "\n".join(lines) + "\n"


def _row(each: AgentReport) -> tuple[str, ...]:
    known = len(each.deviations) - each.open
    return (
        each.namespace,
        each.name,
        str(len(each.reaches)),
        str(len(each.reached_by)),
        str(len(each.rights)),
        str(len(each.secrets)),
        when(each.certificate.ends) if each.certificate else "-",
        str(each.open) + (f" (+{known} accepted)" if known else ""),
    )


def _details(each: AgentReport) -> Iterator[str]:
    yield from _block("reaches", [f"{way.peer}: {', '.join(way.ports)}" for way in each.reaches])
    yield from _block("reached by", [f"{way.peer}: {', '.join(way.ports)}" for way in each.reached_by])
    yield from _block("callers", list(each.callers))
    yield from _block("may", [f"{right.text} ({right.binding})" for right in each.rights])
    yield from _block("reads Secrets", [f"{name}: {', '.join(keys)}" for name, keys in each.secrets.items()])
    yield from _block("deviations", [_deviation(one) for one in each.deviations])
    if each.hidden:
        yield from _block("not readable", list(each.hidden))


def _deviation(one: Deviation) -> str:
    return f"{one.id}: {one.message}" + (f" (accepted: {one.accepted})" if one.accepted else "")


def _block(title: str, lines: Sequence[str]) -> Iterator[str]:
    for number, line in enumerate(lines or ["-"]):
        # Parts of it come from whoever wrote the resource, and a terminal obeys more than letters.
        shown = "".join(mark if mark.isprintable() else " " for mark in line)
        yield f"  {title if number == 0 else '':{_WIDTH}} {shown}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
