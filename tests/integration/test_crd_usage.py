"""The resource as kubectl shows and changes it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.controlplane import ControlPlane

KIND = "agentdeployments.apm.valeo-neuroerp.com"


def kubectl(plane: ControlPlane, *arguments: str) -> str:
    command = ["kubectl", f"--kubeconfig={plane.kubeconfig}", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.fixture
def agent(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> str:
    manifest = {
        "apiVersion": "apm.valeo-neuroerp.com/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": "shop"},
        "spec": {
            "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "Hello."}]}],
            "workflow": {"start": "answer", "nodes": [{"name": "answer", "uses": "model", "retry": {}}]},
        },
    }
    path = tmp_path / "agent.yaml"
    path.write_text(yaml.safe_dump(manifest))
    kubectl(control_plane, "apply", f"--namespace={namespace}", f"--filename={path}")
    return "shop"


def read(plane: ControlPlane, namespace: str, agent: str) -> dict[str, Any]:
    answer = kubectl(plane, "get", KIND, agent, f"--namespace={namespace}", "-o", "json")
    return dict(json.loads(answer))


def test_defaults_are_set(control_plane: ControlPlane, namespace: str, agent: str):
    spec = read(control_plane, namespace, agent)["spec"]
    assert spec["replicas"] == 1
    assert spec["suspend"] is False
    assert spec["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
        "limits": {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "512Mi"},
    }
    assert spec["models"][0]["timeout"] == "60s"
    assert spec["workflow"]["nodes"][0]["retry"]["attempts"] == 3
    assert "with" not in spec["workflow"]["nodes"][0]


@pytest.mark.parametrize("name", ["agent", "agents", "apm", "agentdeployment"])
def test_is_listed_by_short_name_and_category(control_plane: ControlPlane, namespace: str, agent: str, name: str):
    header, row = kubectl(control_plane, "get", name, f"--namespace={namespace}").splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "REPLICAS", "PODS", "MODEL", "AGE"]
    assert row.split()[0].rpartition("/")[2] == agent


def test_columns_show_the_status(control_plane: ControlPlane, namespace: str, agent: str):
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "SecretMissing",
        "message": "Secret llm does not exist.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    status = {"conditions": [condition], "readyReplicas": 0, "replicas": 3, "model": "scripted"}
    patch = json.dumps({"status": status})
    kubectl(
        control_plane, "patch", KIND, agent, f"--namespace={namespace}",
        "--subresource=status", "--type=merge", f"--patch={patch}",
    )  # fmt: skip
    row = kubectl(control_plane, "get", KIND, agent, f"--namespace={namespace}", "--no-headers").split()
    assert row[:6] == ["shop", "False", "SecretMissing", "0", "3", "scripted"]


def test_scale_changes_replicas(control_plane: ControlPlane, namespace: str, agent: str):
    kubectl(control_plane, "scale", KIND, agent, f"--namespace={namespace}", "--replicas=0")
    assert read(control_plane, namespace, agent)["spec"]["replicas"] == 0


def test_scale_obeys_the_rules(control_plane: ControlPlane, namespace: str, agent: str):
    answer = subprocess.run(
        [
            "kubectl", f"--kubeconfig={control_plane.kubeconfig}", f"--namespace={namespace}",
            "scale", KIND, agent, "--replicas=2",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode != 0
    assert "set `state`, or `replicas` to 1" in answer.stderr


def test_status_is_written_only_through_its_subresource(control_plane: ControlPlane, namespace: str, agent: str):
    patch = json.dumps({"status": {"model": "other"}})
    kubectl(control_plane, "patch", KIND, agent, f"--namespace={namespace}", "--type=merge", f"--patch={patch}")
    assert "status" not in read(control_plane, namespace, agent)


def test_explain_describes_the_spec(control_plane: ControlPlane):
    text = kubectl(control_plane, "explain", "agentdeployment.spec", "--recursive")
    for field in ("workflow", "baseURL", "uriSecretRef", "topologySpreadConstraints"):
        assert f"{field}\t<" in text
    assert "Number of pods" in kubectl(control_plane, "explain", "agentdeployment.spec.replicas")


BACKUPS: dict[str, dict[str, Any]] = {
    "BackupPolicy": {
        "source": {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}},
        "storage": {"persistentVolumeClaim": {"claimName": "apm-backups"}},
    },
    "Backup": {"policyRef": {"name": "nightly"}},
    "Restore": {"from": {"backupRef": {"name": "monday"}}},
    "AgentReport": {"slack": {"webhookSecretRef": {"name": "slack", "key": "url"}}},
}
COLUMNS = {
    "BackupPolicy": ["NAME", "SCHEDULE", "LAST SUCCESS", "LAST VERIFIED", "NEXT", "READY"],
    "Backup": ["NAME", "PHASE", "SIZE", "VERIFIED", "AGE", "EXPIRES"],
    "Restore": ["NAME", "PHASE", "PERCENT", "DOCUMENTS", "BACKUP", "AGE"],
    "AgentReport": ["NAME", "SCHEDULE", "PERIOD", "LAST REPORT", "NEXT", "READY"],
}


@pytest.fixture
def backups(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    for kind, spec in BACKUPS.items():
        body = {"apiVersion": "apm.valeo-neuroerp.com/v1alpha1", "kind": kind, "metadata": {"name": "it"}, "spec": spec}
        path = tmp_path / f"{kind}.yaml"
        path.write_text(yaml.safe_dump(body))
        kubectl(control_plane, "apply", f"--namespace={namespace}", f"--filename={path}")


@pytest.mark.usefixtures("backups")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("backuppolicies", "BackupPolicy"),
        ("bpol", "BackupPolicy"),
        ("backups", "Backup"),
        ("restores", "Restore"),
        ("agentreports", "AgentReport"),
        ("areport", "AgentReport"),
    ],
)
def test_resources_of_backups_have_columns(control_plane: ControlPlane, namespace: str, name: str, kind: str):
    header = kubectl(control_plane, "get", name, f"--namespace={namespace}").splitlines()[0]
    assert [part.strip() for part in header.split("   ") if part.strip()] == COLUMNS[kind]


@pytest.mark.usefixtures("backups")
def test_the_category_lists_all_kinds(control_plane: ControlPlane, namespace: str):
    listed = kubectl(control_plane, "get", "apm", f"--namespace={namespace}", "--output=name").split()
    assert listed == [
        f"{kind}.apm.valeo-neuroerp.com/it" for kind in ("agentreport", "backuppolicy", "backup", "restore")
    ]


@pytest.mark.usefixtures("backups")
def test_a_policy_has_the_defaults_that_are_promised(control_plane: ControlPlane, namespace: str):
    policy = kubectl(control_plane, "get", "backuppolicy", "it", f"--namespace={namespace}", "--output=json")
    spec = json.loads(policy)["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["startingDeadlineSeconds"]) == ("0 2 * * *", "Etc/UTC", 3600)
    assert spec["retention"] == {"days": 30, "minimum": 1}
    assert spec["verification"] == {"restoreTest": True, "sample": 1000}
    assert spec["deletionPolicy"] == "Retain"


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("backuppolicy.spec.retention.days", "Older backups are removed."),
        ("backup.spec.policyRef", "what is backed up"),
        ("restore.spec.mode", "a target with data is refused"),
    ],
)
def test_explain_describes_backups(control_plane: ControlPlane, field: str, told: str):
    version = "--api-version=apm.valeo-neuroerp.com/v1alpha1"
    assert told in " ".join(kubectl(control_plane, "explain", field, version).split())
