"""A report as headings, tables and plots: the same for Markdown, HTML and Slack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from apm_operator.report import words
from apm_operator.report.attention import attention, certificate_trouble
from apm_operator.report.figures import Agent, Policy, Report, Runs, Slice, total
from apm_operator.report.plots import Layer

_GREEN, _RED, _GREY, _BLUE, _ORANGE = "#2e7d32", "#c62828", "#9e9e9e", "#1565c0", "#ef6c00"


@dataclass(frozen=True, slots=True)
class Table:
    """Cells of plain text; the first column names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Bars over time."""

    title: str
    labels: tuple[str, ...]
    layers: tuple[Layer, ...]
    shown: Callable[[float | None], str]
    """How a value is written."""

    @property
    def sums(self) -> tuple[float | None, ...]:
        """The height of each bar."""
        return tuple(total(layer.values[at] for layer in self.layers) for at in range(len(self.labels)))

    @property
    def largest(self) -> str:
        """What the highest bar stands for."""
        return self.shown(max((value for value in self.sums if value is not None), default=None))


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it; `note` is a sentence before the table."""

    title: str
    note: str = ""
    table: Table | None = None
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """All of it.

    Attributes:
        subtitle: what the report is about.
        facts: the most important numbers, each in one line.
        attention: what somebody should look at; none where all is well as far as it is known.
    """

    title: str
    subtitle: str
    facts: tuple[str, ...]
    attention: tuple[str, ...]
    sections: tuple[Section, ...]


def document(report: Report) -> Document:
    """Lay a report out."""
    return Document(
        title=f"Agents of {report.namespace}",
        subtitle=f"Report {report.name}, {words.spanned(report.span)}",
        facts=tuple(_facts(report)),
        attention=attention(report),
        sections=(
            _runs(report),
            _budgets(report),
            _anomalies(report),
            _backups(report),
            _certificates(report),
            _access(report),
        ),
    )


def _facts(report: Report) -> Iterator[str]:
    runs = report.runs
    if runs is None:
        yield f"Runs: {words.UNKNOWN}"
    else:
        known = len(report.counted)
        of = "" if known == len(report.agents) else f" (of {known} of {len(report.agents)} agents)"
        failed = f", {words.whole(runs.failed)} failed" if runs.failed else ""
        yield f"Runs: {words.whole(runs.total)}{of}, {words.part(runs.success)} succeeded{failed}"
        yield f"Latency: 95 of 100 runs within {words.span(report.slow)}"
        yield f"Cost: {words.money(report.cost)}; tokens: {words.whole(report.tokens)}"
    ready = sum(agent.ready.truth == "True" for agent in report.present)
    yield f"Agents ready now: {ready} of {len(report.present)}"
    if report.policies:
        made, proven = (sum(getattr(each, name) for each in report.policies) for name in ("completed", "proven"))
        yield f"Backups: {made} made, {proven} proven, {sum(each.failed for each in report.policies)} failed"


def _runs(report: Report) -> Section:
    head = ("Agent", "Runs", "Failed", "Success", "Median", "95 of 100 within", "Tokens", "Cost")
    rows = [_run_row(agent) for agent in report.agents]
    note = f"Unknown: {report.trouble}" if report.trouble else "" if rows else "There are no agents."
    return Section("Runs", note, _table(head, rows), tuple(_plots(report)))


def _run_row(agent: Agent) -> tuple[str, ...]:
    numbers = agent.numbers
    absent = words.UNKNOWN if numbers.runs is None else words.NONE
    runs = numbers.runs
    return (
        agent.title,
        words.whole(runs.total if runs is not None else None),
        words.whole(runs.failed if runs is not None else None),
        words.part(runs.success if runs is not None else None, absent),
        words.span(numbers.median, absent),
        words.span(numbers.slow, absent),
        words.whole(numbers.tokens),
        words.money(numbers.cost),
    )


def _plots(report: Report) -> Iterator[Plot]:
    slices = report.slices
    if report.trouble or not slices:
        return
    labels = tuple(words.labelled(each.start, report.span) for each in slices)

    def counted(name: str, colour: str, of: Callable[[Runs], float]) -> Layer:
        return Layer(name, colour, tuple(None if each.runs is None else of(each.runs) for each in slices))

    runs = (
        counted("succeeded", _GREEN, lambda runs: runs.succeeded),
        counted("interrupted", _GREY, lambda runs: runs.interrupted),
        counted("failed", _RED, lambda runs: runs.failed),
    )
    yield Plot("Runs", labels, runs, words.whole)
    yield Plot("95 of 100 runs ended within", labels, (_layer("slow", _BLUE, slices, lambda it: it.slow),), _longest)
    yield Plot("Cost", labels, (_layer("cost", _ORANGE, slices, lambda it: it.cost),), words.money)


def _longest(seconds: float | None) -> str:
    return words.span(seconds, words.UNKNOWN)


def _layer(name: str, colour: str, slices: tuple[Slice, ...], of: Callable[[Slice], float | None]) -> Layer:
    return Layer(name, colour, tuple(of(each) for each in slices))


def _budgets(report: Report) -> Section:
    rows = [
        (agent.title, *(_used(agent, resource) for resource in ("tokens", "cost")), words.whole(agent.numbers.refusals))
        for agent in report.agents
    ]
    note = "The largest part of a day's budget (UTC) that was used."
    return Section("Budgets", note, _table(("Agent", "Tokens", "Cost", "Refused"), rows))


def _used(agent: Agent, resource: str) -> str:
    budget = agent.numbers.budget
    return words.UNKNOWN if budget is None else words.part(budget.get(resource), "no budget")


def _anomalies(report: Report) -> Section:
    rows = [(agent.name, _usual(agent), ", ".join(agent.numbers.odd) or words.NONE) for agent in report.present]
    return Section("Anomalies", "", _table(("Agent", "Now", "In this time"), rows))


def _usual(agent: Agent) -> str:
    state = agent.anomalous
    if state.truth == "True":
        return state.message
    return "as usual" if state.truth == "False" else f"{words.UNKNOWN} ({state.reason or 'not looked for'})"


def _backups(report: Report) -> Section:
    zone = report.span.zone
    head = ("Policy", "Made", "Failed", "Proven", "Missed so far", "Last good", "Last proven", "Size", "Proof now")
    rows = [
        (
            *(policy.name, str(policy.completed), str(policy.failed), str(policy.proven), str(policy.missed)),
            *(words.moment(each, zone, "never") for each in (policy.last, policy.last_proven)),
            words.size(policy.size),
            _proof(policy),
        )
        for policy in report.policies
    ]
    notes = [] if rows else ["There is no BackupPolicy in this namespace."]
    notes += [
        f"Restore {each.name}: {each.phase}, {words.moment(each.finished, zone, 'not ended')}."
        for each in report.restores
    ]
    return Section("Backups", " ".join(notes), _table(head, rows))


def _proof(policy: Policy) -> str:
    state = policy.verified
    return "proven" if state.truth == "True" else state.message or state.reason or words.UNKNOWN


def _certificates(report: Report) -> Section:
    rows = [
        (
            agent.name,
            _good_for(agent),
            certificate_trouble(agent) or words.NONE,
        )
        for agent in report.present
    ]
    return Section("Certificates", "", _table(("Agent", "Good for", "Trouble"), rows))


def _good_for(agent: Agent) -> str:
    if agent.certificate is None:
        return "TLS is off"
    left = agent.numbers.certificate_left
    return words.span(max(left, 0.0)) if left is not None else words.UNKNOWN


def _access(report: Report) -> Section:
    rows = [
        (agent.name, each.id, each.message, f"accepted: {each.accepted}" if each.accepted else "open")
        for agent in report.present
        for each in agent.deviations
    ]
    notes = [] if rows else ["No deviations were found."]
    if report.unseen:
        notes.append(f"Not looked at from inside the namespace: {', '.join(report.unseen)}.")
    return Section("Review of access", " ".join(notes), _table(("Agent", "Deviation", "What", "State"), rows))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table | None:
    return Table(head, tuple(rows)) if rows else None
