"""Every constraint of the CRD, on the real API server: one manifest that it accepts, and one that it refuses.

A refused manifest begins with `# expect:` and a part of the message.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from apm_operator.api.agentdeployment import AgentDeploymentSpec
from apm_operator.api.crd import KINDS, crd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.controlplane import ControlPlane

MANIFESTS = Path(__file__).parent / "manifests" / "agentdeployment"
ACCEPTED = sorted((MANIFESTS / "accepted").glob("*.yaml"))
REJECTED = sorted((MANIFESTS / "rejected").glob("*.yaml"))


def expected(manifest: Path) -> str:
    mark, _, message = manifest.read_text().splitlines()[0].partition("# expect: ")
    assert mark == "", f"{manifest.name} does not begin with `# expect:`"
    assert message
    return message


def messages(schema: dict[str, Any]) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", []):
        yield rule["message"]
    for child in [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]:
        if isinstance(child, dict):
            yield from messages(child)


def create(plane: ControlPlane, manifest: Path) -> subprocess.CompletedProcess[str]:
    command = ["kubectl", f"--kubeconfig={plane.kubeconfig}", "create", "--dry-run=server", "--validate=strict"]
    return subprocess.run(
        [*command, "-o", "yaml", f"--filename={manifest}"], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("manifest", ACCEPTED, ids=lambda path: path.stem)
def test_accepts(control_plane: ControlPlane, manifest: Path):
    answer = create(control_plane, manifest)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("manifest", REJECTED, ids=lambda path: path.stem)
def test_refuses(control_plane: ControlPlane, manifest: Path):
    answer = create(control_plane, manifest)
    assert answer.returncode != 0
    assert expected(manifest) in answer.stderr


def test_each_refused_manifest_has_an_accepted_counterpart():
    assert {path.name for path in REJECTED} <= {path.name for path in ACCEPTED}


def test_each_rule_refuses_a_manifest():
    schema = crd(KINDS[0])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert set(messages(schema)) <= {expected(manifest) for manifest in REJECTED}


def test_accepted_manifests_can_be_read(control_plane: ControlPlane):
    for manifest in ACCEPTED:
        stored = yaml.safe_load(create(control_plane, manifest).stdout)
        AgentDeploymentSpec.model_validate(stored["spec"])
