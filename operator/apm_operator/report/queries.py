"""What Prometheus is asked, and what its answers mean.

The scraper gives agents' metrics the labels `namespace` and `agent`. A counter that was never raised has no series: so
a count that is absent is 0 for an agent that was scraped, which is told by a gauge that is always there, and unknown
for any other.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from apm_operator.prometheus import Series
from apm_operator.report.figures import Measured, Numbers, Runs, Slice, Span

ByAgent = dict[str, list[tuple[Mapping[str, str], float]]]
"""Labels and value of each series of an agent."""

_FAILED = frozenset({"error", "timeout"})
_RUNS = "apm_agent_runs_total"
_SECONDS = "apm_agent_run_duration_seconds_bucket"
_COST = "apm_agent_model_cost_total"


def instant(namespace: str, span: Span) -> dict[str, str]:
    """Queries of the whole span, asked at its end, by what they tell."""
    of = f'{{namespace="{namespace}"}}'
    over = f"{of}[{span.seconds}s]"
    return {
        "scraped": f"count by (agent) (count_over_time(apm_agent_runs_running{over}))",
        "runs": f"sum by (agent, status) (increase({_RUNS}{over}))",
        "median": f"histogram_quantile(0.5, sum by (agent, le) (increase({_SECONDS}{over})))",
        "slow": f"histogram_quantile(0.95, sum by (agent, le) (increase({_SECONDS}{over})))",
        "slow_of_all": f"histogram_quantile(0.95, sum by (le) (increase({_SECONDS}{over})))",
        "tokens": f"sum by (agent) (increase(apm_agent_model_tokens_total{over}))",
        "cost": f"sum by (agent) (increase({_COST}{over}))",
        "budget": f"max by (agent, resource) (max_over_time(apm_agent_budget_used_ratio{over}))",
        "refusals": f"sum by (agent) (increase(apm_agent_budget_refusals_total{over}))",
        "odd": f"count by (agent, series) (max_over_time(apm_agent_anomalous{over}))",
        "certificate_end": f"max by (agent) (apm_agent_certificate_expiry_timestamp_seconds{of})",
        "certificate_life": f"max by (agent) (apm_agent_certificate_life_seconds{of})",
    }


def sliced(namespace: str, span: Span) -> dict[str, str]:
    """Queries of each slice, asked at its end."""
    over = f'{{namespace="{namespace}"}}[{span.slice_seconds}s]'
    return {
        "scraped": f"count(count_over_time(apm_agent_runs_running{over}))",
        "runs": f"sum by (status) (increase({_RUNS}{over}))",
        "slow": f"histogram_quantile(0.95, sum by (le) (increase({_SECONDS}{over})))",
        "cost": f"sum(increase({_COST}{over}))",
    }


def measured(span: Span, whole: Mapping[str, Iterable[Series]], slices: Mapping[str, Iterable[Series]]) -> Measured:
    """The numbers, from the answers to `instant` and `sliced`."""
    found = {what: _by_agent(series) for what, series in whole.items()}
    return Measured(
        agents={
            agent: _numbers(agent, found, span) for agent in sorted({*found["scraped"], *found["certificate_end"]})
        },
        slow=next(iter(_values(whole["slow_of_all"])), None),
        slices=_slices(span, slices),
    )


def _numbers(
    agent: str, found: Mapping[str, Mapping[str, list[tuple[Mapping[str, str], float]]]], span: Span
) -> Numbers:
    def of(what: str, label: str) -> dict[str, float]:
        return {labels.get(label, ""): value for labels, value in found[what].get(agent, ())}

    def one(what: str, absent: float | None = None) -> float | None:
        return next((value for _, value in found[what].get(agent, ())), absent)

    end = one("certificate_end")
    told = Numbers(
        odd=tuple(sorted(of("odd", "series"))),
        certificate_left=None if end is None else end - span.end.timestamp(),
        certificate_life=one("certificate_life"),
    )
    if agent not in found["scraped"]:
        return told
    return replace(
        told,
        runs=_runs(of("runs", "status")),
        median=one("median"),
        slow=one("slow"),
        tokens=one("tokens", 0.0),
        cost=one("cost", 0.0),
        budget=of("budget", "resource"),
        refusals=one("refusals", 0.0),
    )


def _runs(by_status: Mapping[str, float]) -> Runs:
    return Runs(
        succeeded=by_status.get("success", 0.0),
        failed=sum(count for status, count in by_status.items() if status in _FAILED),
        interrupted=sum(count for status, count in by_status.items() if status not in {*_FAILED, "success"}),
    )


def _by_agent(found: Iterable[Series]) -> ByAgent:
    agents: defaultdict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
    for series in found:
        for _, value in series.samples:
            if math.isfinite(value):
                agents[series.labels.get("agent", "")].append((series.labels, value))
    agents.pop("", None)
    return dict(agents)


def _values(found: Iterable[Series]) -> list[float]:
    return [value for series in found for _, value in series.samples if math.isfinite(value)]


def _slices(span: Span, found: Mapping[str, Iterable[Series]]) -> tuple[Slice, ...]:
    by_end: defaultdict[int, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for what, series in found.items():
        for each in series:
            for when, value in each.samples:
                if math.isfinite(value):
                    by_end[round(when)][what][each.labels.get("status", "")] = value
    return tuple(
        Slice(datetime.fromtimestamp(end - span.slice_seconds, UTC), *_slice(by_end.get(end, {}))) for end in ends(span)
    )


def _slice(told: Mapping[str, Mapping[str, float]]) -> tuple[Runs | None, float | None, float | None]:
    if not told.get("scraped"):
        return None, None, None
    return _runs(told.get("runs", {})), told.get("slow", {}).get(""), told.get("cost", {}).get("", 0.0)


def ends(span: Span) -> list[int]:
    """The ends of the slices, in seconds since 1970, the first one first."""
    last = round(span.end.timestamp())
    return [last - span.slice_seconds * back for back in reversed(range(span.seconds // span.slice_seconds))]


def nothing(span: Span, trouble: str) -> Measured:
    """What is known where Prometheus can't be asked."""
    return Measured(slices=_slices(span, {}), trouble=trouble)
