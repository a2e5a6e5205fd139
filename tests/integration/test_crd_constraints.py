"""Every constraint of the CRDs, on the real API server: one manifest that it accepts, and one that it refuses.

A refused manifest begins with `# expect:` and a part of the message.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from apm_operator.api.crd import KINDS, crd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.controlplane import ControlPlane

MANIFESTS = Path(__file__).parent / "manifests"
SPECS = {kind.kind: kind.spec for kind in KINDS}


def manifests(folder: str) -> list[Path]:
    return sorted(MANIFESTS.glob(f"*/{folder}/*.yaml"))


def label(manifest: Path) -> str:
    return f"{manifest.parents[1].name}-{manifest.stem}"


def expected(manifest: Path) -> str:
    mark, _, message = manifest.read_text().splitlines()[0].partition("# expect: ")
    assert mark == "", f"{manifest.name} does not begin with `# expect:`"
    assert message
    return message


def rules(schema: dict[str, Any]) -> Iterator[dict[str, str]]:
    yield from schema.get("x-kubernetes-validations", [])
    for child in [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]:
        if isinstance(child, dict):
            yield from rules(child)


def create(plane: ControlPlane, manifest: Path) -> subprocess.CompletedProcess[str]:
    command = ["kubectl", f"--kubeconfig={plane.kubeconfig}", "create", "--dry-run=server", "--validate=strict"]
    return subprocess.run(
        [*command, "-o", "yaml", f"--filename={manifest}"], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("manifest", manifests("accepted"), ids=label)
def test_accepts_what_can_be_read(control_plane: ControlPlane, manifest: Path):
    answer = create(control_plane, manifest)
    assert answer.returncode == 0, answer.stderr
    stored = yaml.safe_load(answer.stdout)
    SPECS[stored["kind"]].model_validate(stored["spec"])


@pytest.mark.parametrize("manifest", manifests("rejected"), ids=label)
def test_refuses(control_plane: ControlPlane, manifest: Path):
    answer = create(control_plane, manifest)
    assert answer.returncode != 0
    assert expected(manifest) in answer.stderr


def test_each_refused_manifest_has_an_accepted_counterpart():
    accepted = {label(manifest) for manifest in manifests("accepted")}
    assert {label(manifest) for manifest in manifests("rejected")} <= accepted


def test_each_rule_refuses_a_manifest():
    schemas = [crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for kind in KINDS]
    told = {rule["message"] for schema in schemas for rule in rules(schema) if "oldSelf" not in rule["rule"]}
    refusals = [expected(manifest) for manifest in manifests("rejected")]
    assert {message for message in told if not any(message.startswith(part) for part in refusals)} == set()


MADE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "Backup": (
        {"policyRef": {"name": "nightly"}},
        {"deletionPolicy": "Delete"},
        "a Backup can't be changed: make another one with `kubectl create`",
    ),
    "Restore": (
        {"from": {"backupRef": {"name": "monday"}}},
        {"mode": "Replace"},
        "a Restore can't be changed: delete it, and make another one",
    ),
}
"""By kind: a spec, a change to it, and why that is refused."""


@pytest.mark.parametrize("kind", MADE)
def test_what_was_begun_cannot_be_changed(control_plane: ControlPlane, namespace: str, kind: str):
    def kubectl(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = ["kubectl", f"--kubeconfig={control_plane.kubeconfig}", f"--namespace={namespace}", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    def patch(change: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        resource = f"{kind.lower()}s.apm.valeo-neuroerp.com/done"
        return kubectl("patch", resource, "--type=merge", f"--patch={json.dumps(change)}")

    spec, change, told = MADE[kind]
    body = {"apiVersion": "apm.valeo-neuroerp.com/v1alpha1", "kind": kind, "metadata": {"name": "done"}, "spec": spec}
    assert kubectl("create", "--filename=-", stdin=json.dumps(body)).returncode == 0
    assert patch({"metadata": {"labels": {"a": "b"}}}).returncode == 0
    answer = patch({"spec": change})
    assert answer.returncode != 0
    assert told in answer.stderr


def test_rules_of_changes_are_tried():
    schemas = [crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for kind in KINDS]
    told = {rule["message"] for schema in schemas for rule in rules(schema) if "oldSelf" in rule["rule"]}
    assert told == {message for _, _, message in MADE.values()}
