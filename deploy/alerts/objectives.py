"""Objectives of agents, and the rates at which their budgets may burn.

Windows and factors are those of the SRE Workbook, chapter 5 (multiwindow, multi-burn-rate alerts): the long window says
that it matters, the short one that it still goes on. https://sre.google/workbook/alerting-on-slos/
"""

from __future__ import annotations

from dataclasses import dataclass

from deploy.alerts.rule import Alert, Group, Recording, Severity

_BY = "sum by (namespace, agent)"


@dataclass(frozen=True)
class Burn:
    """A rate at which a budget for 30 days is used up.

    Attributes:
        factor: 1 uses all of it in just 30 days.
        runs: how many runs the long window has to have: of three runs one that fails says nothing.
    """

    long: str
    short: str
    factor: float
    lasts: str
    severity: Severity
    runs: int


_BURNS = (
    Burn("1h", "5m", 14.4, "2m", "critical", 20),
    Burn("6h", "30m", 6, "15m", "critical", 40),
    Burn("1d", "2h", 3, "1h", "warning", 60),
    Burn("3d", "6h", 1, "3h", "warning", 100),
)
_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")

ERRORS_ALLOWED = 0.01
"""Of an agent's runs one in a hundred may fail or run out of time."""
SLOW_ALLOWED = 0.05
"""Of an agent's runs one in twenty may take longer than a minute."""
SLOW_SECONDS = 60
"""A bucket of `apm_agent_run_duration_seconds`."""


def _errors(window: str) -> Recording:
    failed = f'{_BY} (rate(apm_agent_runs_total{{status=~"error|timeout"}}[{window}]))'
    every = f"{_BY} (rate(apm_agent_runs_total[{window}]))"
    # An agent none of whose runs has failed has no series with such a status: 0 of those it has.
    return Recording(f"apm:agent_run_errors:ratio_rate{window}", f"({failed} or {every} * 0)\n/\n({every} > 0)")


def _slow(window: str) -> Recording:
    name = "apm_agent_run_duration_seconds"
    quick = f'{_BY} (rate({name}_bucket{{le=~"{SLOW_SECONDS}([.]0)?"}}[{window}]))'
    return Recording(
        f"apm:agent_run_slow:ratio_rate{window}", f"1 -\n{quick}\n/\n({_BY} (rate({name}_count[{window}])) > 0)"
    )


@dataclass(frozen=True)
class Objective:
    """What an agent's runs are to be.

    Attributes:
        alert: its alert's name.
        series: the part of the runs that are not so; the window's name comes after it.
        allowed: part of the runs that may be otherwise, over 30 days.
        what: what those runs do.
        sense: what it means for callers.
    """

    alert: str
    series: str
    allowed: float
    what: str
    sense: str

    def burnt(self, burn: Burn) -> Alert:
        """The alert for a rate."""
        bound = f"{burn.factor * self.allowed:.6g}"
        return Alert(
            name=self.alert,
            severity=burn.severity,
            component="agent",
            expr=(
                f"{self.series}{burn.long} > {bound}\nand\n{self.series}{burn.short} > {bound}\nand\n"
                f"{_BY} (increase(apm_agent_runs_total[{burn.long}])) >= {burn.runs}"
            ),
            lasts=burn.lasts,
            summary=f"{{{{ $value | humanizePercentage }}}} of the runs of agent {{{{ $labels.agent }}}} {self.what}",
            description=(
                f"So it has been for {burn.long}, and it goes on: more than {burn.factor:g} times the "
                f"{self.allowed:.0%} that the objective allows over 30 days. {self.sense}"
            ),
            labels={"window": burn.long},
        )


_OBJECTIVES = (
    Objective(
        alert="ApmAgentErrorBudgetBurn",
        series="apm:agent_run_errors:ratio_rate",
        allowed=ERRORS_ALLOWED,
        what="fail",
        sense="Callers get errors, or no answer in time.",
    ),
    Objective(
        alert="ApmAgentLatencyBudgetBurn",
        series="apm:agent_run_slow:ratio_rate",
        allowed=SLOW_ALLOWED,
        what=f"take longer than {SLOW_SECONDS} s",
        sense="Callers wait for their answers.",
    ),
)


def groups() -> tuple[Group, ...]:
    """The ratios by window, and the alerts on them."""
    return (
        Group("apm-agent-ratios", tuple(make(window) for window in _WINDOWS for make in (_errors, _slow)), "30s"),
        Group("apm-agent-objectives", tuple(each.burnt(burn) for each in _OBJECTIVES for burn in _BURNS), "30s"),
    )
