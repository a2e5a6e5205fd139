"""What a panel shows; how it looks is Grafana's matter."""

from __future__ import annotations

from dataclasses import dataclass

AGENT = 'namespace=~"$namespace", agent=~"$agent"'
"""The agents that are chosen at the top of the dashboard."""
SPACE = 'namespace=~"$namespace"'
WINDOW = "$__rate_interval"


@dataclass(frozen=True)
class Query:
    """A query in PromQL; `legend` names its series, labels in double braces."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A panel of a section; `unit` is one of Grafana's."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    about: str = ""
    single: bool = False
    """Shows the newest value as a number, not its course."""


def graph(title: str, unit: str, *queries: tuple[str, str], about: str = "") -> Panel:
    """Courses over time; each query with its legend."""
    return Panel(title, unit, tuple(Query(expr, legend) for expr, legend in queries), about)


def number(title: str, unit: str, expr: str, about: str = "") -> Panel:
    """One number."""
    return Panel(title, unit, (Query(expr),), about, single=True)


def rate(metric: str, *by: str, only: str = AGENT) -> str:
    """How fast a counter grows, by labels."""
    return f"sum by ({', '.join(by)}) (rate({metric}{{{only}}}[{WINDOW}]))"


def failing(metric: str, *by: str, only: str = AGENT) -> str:
    """Likewise of what has no series as long as nothing fails: then it is 0."""
    return f"{rate(metric, *by, only=only)} or vector(0)"


def newest(metric: str, *by: str, only: str = AGENT) -> str:
    """What all pods of an agent tell alike."""
    return f"max by ({', '.join(by)}) ({metric}{{{only}}})"


def quantiles(metric: str, *by: str, only: str = AGENT) -> tuple[tuple[str, str], ...]:
    """The median and the 95th percentile of a histogram, by labels."""
    buckets = f"sum by ({', '.join(('le', *by))}) (rate({metric}_bucket{{{only}}}[{WINDOW}]))"
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return tuple(
        (f"histogram_quantile({part}, {buckets})", f"{legend} {name}".strip())
        for part, name in ((0.5, "p50"), (0.95, "p95"))
    )
