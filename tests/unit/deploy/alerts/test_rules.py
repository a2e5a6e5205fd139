"""Each alert fires when it should and stays quiet when it should, as Prometheus' own tool works it out."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from agent_runtime.events.metrics import EventMetrics
from agent_runtime.metrics import Metrics
from agent_runtime.state.metrics import StateMetrics
from apm_operator.metrics import REGISTRY
from cluster import debian
from cluster.settings import REPOSITORY
from deploy.alerts import files
from deploy.alerts.rule import RUNBOOKS, Alert, Group, Recording
from unit.deploy.alerts.cases import CASES, Case

RULES = REPOSITORY / "deploy" / "monitoring" / "prometheus-rules.yaml"
NAMES = sorted({alert.name for alert in files.alerts()})


def promtool(*arguments: str | Path) -> None:
    """Run it; what it complains of is the test's failure."""
    done = subprocess.run(
        [debian.program("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_valid():
    promtool("check", "rules", "--lint-fatal", RULES)


def test_both_files_are_of_the_same_rules():
    for path, text in files.rendered().items():
        assert path.read_text() == text, f"{path}: run `make generate`"


@pytest.mark.parametrize("name", NAMES)
def test_it_fires_and_stays_quiet(name: str, tmp_path: Path):
    cases = [case for case in CASES if case.alert == name]
    assert any(case.summaries for case in cases)
    assert any(not case.summaries for case in cases)
    for number, case in enumerate(cases):
        rules, file = tmp_path / f"rules-{number}.yaml", tmp_path / f"test-{number}.yaml"
        rules.write_text(yaml.safe_dump({"groups": [looked_at(group, case) for group in files.groups()]}))
        file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": [written(case)]}))
        promtool("test", "rules", file)


def looked_at(group: Group, case: Case) -> dict[str, Any]:
    """What the case needs of a group, and as often as its series have values: promtool would work out all there is."""
    wanted = rule(case.alert, case.window)

    def needed(each: Recording | Alert) -> bool:
        return each.record in wanted.expr.split() if isinstance(each, Recording) else each == wanted

    kept = replace(group, rules=tuple(filter(needed, group.rules)))
    return (replace(kept, interval=case.interval) if case.window else kept).rendered()


def test_every_rate_of_burning_has_its_case():
    for name in ("ApmAgentErrorBudgetBurn", "ApmAgentLatencyBudgetBurn"):
        windows = {alert.labels["window"] for alert in files.alerts() if alert.name == name}
        assert {case.window for case in CASES if case.alert == name and case.summaries} == windows


def written(case: Case) -> dict[str, Any]:
    """As promtool reads it."""
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    alert = rule(case.alert, case.window)
    expected = [
        {
            "exp_labels": {"severity": alert.severity, "component": alert.component} | alert.labels | dict(labels),
            "exp_annotations": alert.rendered()["annotations"]
            | {"summary": summary, "description": case.description or alert.description},
        }
        for labels, summary in case.summaries.items()
    ]
    looked = {"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}
    return {"interval": case.interval, "input_series": series, "alert_rule_test": [looked]}


def rule(name: str, window: str) -> Alert:
    """The alert of this name, for a window where it has several."""
    return next(each for each in files.alerts() if each.name == name and window in {"", each.labels.get("window")})


def test_every_metric_exists():
    runtime = Metrics()
    own = [name for registry in (REGISTRY, runtime.registry) for name in told(registry)]
    events = CollectorRegistry()
    EventMetrics(events)
    StateMetrics(events)
    own += told(events)
    recorded = {each.record for group in files.groups() for each in group.rules if isinstance(each, Recording)}
    asked = set()
    for group in files.groups():
        for each in group.rules:
            asked |= set(re.findall(r"\bapm[_:][a-z0-9_:]+", each.expr))
    assert asked <= set(own) | recorded
    assert recorded <= asked


def told(registry: CollectorRegistry) -> list[str]:
    """Names of the series of all that is registered, whether it has a value yet or not."""
    return list(registry._names_to_collectors)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_its_page(name: str):
    page = REPOSITORY / "docs" / "runbooks" / f"{name}.md"
    text = page.read_text()
    assert text.startswith(f"# {name}\n")
    assert {"## What it means", "## Look at", "## Do"} <= set(text.splitlines())
    assert rule(name, "").rendered()["annotations"]["runbook_url"] == f"{RUNBOOKS}/{page.name}"


def test_no_page_is_left_over():
    pages = {page.stem for page in (REPOSITORY / "docs" / "runbooks").glob("Apm*.md")}
    assert pages == set(NAMES)
