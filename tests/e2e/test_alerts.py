"""An agent that breaks is told of in Slack, and its repair too: metrics, rules and Alertmanager as they are shipped."""

import time
from pathlib import Path

import pytest

from e2e.support.manifests import agent, secret
from e2e.support.monitoring import Monitoring, watching
from e2e.support.space import Space
from e2e.support.waiting import until
from fakes.slack import Message

_WITHIN = 120.0
"""Seconds from the trouble to the message."""
_OVER_WITHIN = 150.0
"""Seconds from the repair to the message: Alertmanager's `groupInterval` of a minute is in it."""


def test_slack_is_told_of_an_agent_that_breaks_and_of_its_repair(
    space: Space, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "main"}}}
    space.apply(secret("tokens", main="abc"), agent("clerk", env=[token]))
    space.ready("clerk")
    with watching(tmp_path, space.cluster, space.name) as monitoring:
        _until_it_is_seen(monitoring, space)

        # Somebody removes a Secret; the pod goes on, until it is moved.
        space.kubectl("delete", "secret", "tokens")
        space.kubectl("delete", "pods", "-l=apm.valeo-neuroerp.com/agent=clerk", "--wait=false")
        broken = time.monotonic()
        told = _message(monitoring, f"CRITICAL: ApmAgentDown in {space.name}", _WITHIN)
        assert "*Agent clerk is down: SecretMissing*" in told.text
        assert "/docs/runbooks/ApmAgentDown.md|Runbook>" in told.text
        assert told.body["channel"] == "#agents-critical"

        space.apply(secret("tokens", main="abc"))
        repaired = time.monotonic()
        over = _message(monitoring, f"RESOLVED: ApmAgentDown in {space.name}", _OVER_WITHIN)
        space.ready("clerk")
        assert [each.title for each in _here(monitoring, space)] == [told.title, over.title]
    with capsys.disabled():
        told_after, over_after = told.at - broken, over.at - repaired
        print(f"\nagent down: told after {told_after:.0f} s; repaired: told after {over_after:.0f} s")  # noqa: T201
    assert told.at - broken < _WITHIN


def _until_it_is_seen(monitoring: Monitoring, space: Space) -> None:
    """Wait until Prometheus scrapes the operator and the agent's pod."""
    where = f'namespace="{space.name}",agent="clerk"'
    for expr in (f"apm_agent_ready{{{where}}} == 1", f'up{{job="apm-agents",{where}}} == 1', "apm_leader == 1"):
        until(expr, lambda expr=expr: monitoring.prometheus.query(expr), bool, seconds=60)  # type: ignore[misc]


def _message(monitoring: Monitoring, title: str, seconds: float) -> Message:
    def look() -> list[Message]:
        return monitoring.slack.titled(title)

    return until(title, look, bool, seconds=seconds)[0]


def _here(monitoring: Monitoring, space: Space) -> list[Message]:
    """The messages about this namespace; the cluster has others."""
    return [each for each in monitoring.slack.messages if each.title.endswith(f" in {space.name}")]
