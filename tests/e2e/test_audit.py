"""The audit of agents as the operator has made them."""

import json
import os
import subprocess
import sys
from typing import Any

from cluster.installation import AGENTS_NAMESPACE
from cluster.settings import REPOSITORY
from e2e.support.manifests import agent, mongodb
from e2e.support.space import Space


def test_an_agent_of_the_operator_keeps_to_the_baseline(space: Space) -> None:
    ask = {"start": "ask", "nodes": [{"name": "ask", "uses": "agent", "with": {"ref": "clerk"}}]}
    space.apply(agent("clerk", state=mongodb(), network=None), agent("desk", workflow=ask, network=None))
    space.ready("clerk", "desk")
    code, report = _audit(space)
    assert [one for each in report["agents"] for one in each["deviations"]] == []
    assert code == 0
    clerk, desk = report["agents"]
    assert [way for way in clerk["reaches"] if way["peer"].endswith(f" in namespace {AGENTS_NAMESPACE}")]
    assert f"agent {space.name}/desk" in {way["peer"] for way in clerk["reachedBy"]}
    assert f"agent {space.name}/desk" in clerk["callers"]
    assert f"agent {space.name}/clerk" in {way["peer"] for way in desk["reaches"]}
    assert clerk["certificate"]["expires"] > report["checkedAt"]
    assert clerk["rights"] == desk["rights"] == []

    space.kubectl("patch", "agent", "desk", "--type=merge", '--patch={"spec": {"auth": {"anonymous": true}}}')
    code, report = _audit(space)
    assert code == 1
    assert [one["id"] for one in report["agents"][1]["deviations"]] == ["anonymous"]


def _audit(space: Space) -> tuple[int, dict[str, Any]]:
    """The exit status and the report of the agents in the test's namespace."""
    where = [f"--kubeconfig={space.cluster.cluster.kubeconfig}", f"--namespace={space.name}", "--output=json"]
    command = [sys.executable, "-m", "apm_operator", "audit", *where]
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}"}
    told = subprocess.run(command, env=paths, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode in {0, 1}, told.stderr
    return told.returncode, json.loads(told.stdout)
