"""One case of an alert: series as promtool writes them, `start+step x times`, and what comes of them.

https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """Some series, and what comes of them.

    Attributes:
        series: values by series, one for each interval.
        at: when the alert is looked at, from the start.
        summaries: the alerts that fire then: labels besides those the rule itself gives, and the summary.
        description: where the rule's has a template in it.
        window: of the alert that is meant, where several have its name; "" for all of them.
    """

    alert: str
    series: dict[str, str]
    at: str
    summaries: dict[tuple[tuple[str, str], ...], str] = field(default_factory=dict)
    description: str = ""
    interval: str = "1m"
    window: str = ""


def at(**labels: str) -> tuple[tuple[str, str], ...]:
    """Labels of an alert."""
    return tuple(labels.items())


ONE = at(namespace="shop", agent="one")
OF_ONE = '{namespace="shop",agent="one"}'
OF_POD = '{namespace="shop",agent="one",pod="one-1"}'
OF_POLICY = '{namespace="shop",policy="nightly"}'


def ready(reason: str, value: int, times: int = 60) -> dict[str, str]:
    return {f'apm_agent_ready{{namespace="shop",agent="one",reason="{reason}"}}': f"{value}x{times}"}
