"""Every example is valid, and the demo's two fit together."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks import check
from apm_operator.api.crd import KINDS
from cluster.settings import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
PATTERNS = {"sequential", "parallel", "map-reduce", "evaluator-loop", "router", "supervisor", "hand-over"}
SPECS = {kind.kind: kind.spec for kind in KINDS}
BACKUPS = [file.read_text() for file in (EXAMPLES / "backups").glob("*.yaml")]
RUNTIME_FIELDS = {field.alias or name for name, field in AgentSpec.model_fields.items()}


def agents(file: Path) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(file.read_text()) if item.get("kind") == "AgentDeployment"]


FILES = [file for file in sorted(EXAMPLES.rglob("*.yaml")) if agents(file)]


def test_there_is_one_for_every_pattern():
    assert {file.stem for file in (EXAMPLES / "patterns").glob("*.yaml")} == PATTERNS


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_no_problem_is_found(file):
    for agent in agents(file):
        spec = {name: value for name, value in agent["spec"].items() if name in RUNTIME_FIELDS}
        assert check(AgentSpec.model_validate(spec)) == ()


@pytest.mark.parametrize("file", sorted((EXAMPLES / "backups").glob("*.yaml")), ids=lambda file: file.name)
def test_backups_and_restores_are_valid(file):
    item = yaml.safe_load(file.read_text())
    spec = SPECS[item["kind"]].model_validate(item["spec"])
    names = {each["metadata"]["name"] for each in map(yaml.safe_load, BACKUPS)}
    assert {spec.policy_ref.name} <= names if item["kind"] == "Backup" else True
    assert {spec.from_.backup_ref.name} <= names if item["kind"] == "Restore" else True


@pytest.mark.parametrize("file", sorted((EXAMPLES / "reports").glob("*.yaml")), ids=lambda file: file.name)
def test_reports_are_valid(file):
    item = yaml.safe_load(file.read_text())
    SPECS[item["kind"]].model_validate(item["spec"])


def test_an_agent_that_is_named_is_there():
    demo = {agent["metadata"]["name"]: agent for file in EXAMPLES.glob("*.yaml") for agent in agents(file)}
    for agent in demo.values():
        for node in agent["spec"].get("workflow", {}).get("nodes", ()):
            if node["uses"] == "agent":
                other = demo[node["with"]["ref"]]
                assert other["metadata"]["namespace"] == agent["metadata"]["namespace"]


def test_argo_cd_gets_the_health_check_of_the_lua_file():
    patch = yaml.safe_load((EXAMPLES / "gitops" / "argocd" / "argocd-cm.yaml").read_text())
    key = "resource.customizations.health.apm.valeo-neuroerp.com_AgentDeployment"
    assert patch["data"][key] == (EXAMPLES / "gitops" / "argocd" / "health.lua").read_text()
