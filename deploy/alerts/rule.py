"""Rules of Prometheus as data: https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any, Literal

RUNBOOKS = "https://github.com/valeo-neuroerp/apm-operator/blob/main/docs/runbooks"
DASHBOARD = "/d/apm-dashboard"

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Recording:
    """A series that is worked out once and used by several alerts."""

    record: str
    expr: str

    def rendered(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"record": self.record, "expr": _text(self.expr)}


@dataclass(frozen=True)
class Alert:
    """What somebody has to know of.

    Attributes:
        severity: `critical` wakes somebody; `warning` waits for office hours.
        lasts: how long the expression has to hold, as Prometheus writes durations; "" for at once.
        summary: one line, with the labels that tell which one it is.
        description: what it means and what comes of it, in a sentence or two.
        labels: those besides `severity` and `component`.
    """

    name: str
    severity: Severity
    component: Literal["agent", "backup", "mongodb", "operator"]
    expr: str
    lasts: str
    summary: str
    description: str
    labels: dict[str, str] = field(default_factory=dict)

    def rendered(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": _text(self.expr),
            **({"for": self.lasts} if self.lasts else {}),
            "labels": {"severity": self.severity, "component": self.component} | self.labels,
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOKS}/{self.name}.md",
                "dashboard": DASHBOARD,
            },
        }


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together, one after the other.

    Attributes:
        interval: how often; "" for Prometheus' own interval.
    """

    name: str
    rules: tuple[Recording | Alert, ...]
    interval: str = ""

    def rendered(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        interval = {"interval": self.interval} if self.interval else {}
        return {"name": self.name, **interval, "rules": [rule.rendered() for rule in self.rules]}


def _text(expr: str) -> str:
    return dedent(expr).strip()
