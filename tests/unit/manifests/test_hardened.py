"""Every pod that the project makes passes Pod Security `restricted`, and more.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from string import Template
from typing import Any

import pytest
import yaml

from cluster import gobuild
from cluster.settings import REPOSITORY

CHART_VALUES = {
    "default": (),
    "two replicas": ("replicas=2", "image.digest=sha256:" + "0" * 64),
    "some namespaces": ("watchNamespaces={a,b}", "leaderElection=false"),
    "own resources": ("resources.limits.memory=1Gi", "podLabels.a=b", "podAnnotations.a=b", "tests.namespace=x"),
}
LIMITS = {"cpu", "memory", "ephemeral-storage"}
VOLUMES = {"configMap", "secret", "emptyDir", "projected", "downwardAPI", "persistentVolumeClaim"}
"""Kinds of volumes that `restricted` allows and that are used here."""


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object with where it comes from."""
    for name, values in CHART_VALUES.items():
        for item in chart(*values):
            yield f"chart, {name}", item
    files = [
        REPOSITORY / "deploy/apm-operator.yaml",
        *sorted((REPOSITORY / "tests/unit/apm_operator/reconcile/golden").glob("*.yaml")),
        *sorted((REPOSITORY / "tests/cluster/manifests").glob("*.yaml")),
    ]
    for file in files:
        text = Template(file.read_text()).safe_substitute(image="image", data="/data")
        for item in yaml.safe_load_all(text):
            yield str(file.relative_to(REPOSITORY)), item


def chart(*values: str) -> list[dict[str, Any]]:
    sets = [argument for value in values for argument in ("--set", value)]
    command = [str(gobuild.program("helm")), "template", "apm", str(REPOSITORY / "charts/apm-operator"), *sets]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def pods_in(value: Any) -> Iterator[dict[str, Any]]:
    """Pod specs, at whatever depth."""
    if isinstance(value, dict):
        if "containers" in value:
            yield value
        else:
            for each in value.values():
                yield from pods_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from pods_in(each)


def name_of(source: str, item: dict[str, Any]) -> str:
    return f"{source}: {item['kind']} {item['metadata']['name']}"


PODS = {
    name_of(source, item): spec
    for source, item in manifests()
    if item["kind"] != "CustomResourceDefinition"
    for spec in pods_in(item)
}


def test_all_of_them_are_looked_at():
    kinds = (
        *(
            "Deployment apm-operator",
            "Pod apm-operator-smoke",
            "Deployment one",
            "Deployment one-activator",
            "Deployment mongodb",
        ),
        *(
            "CronJob nightly",
            "CronJob nightly-verify",
            "Job by-hand",
            "Job nightly-1-remove-fb7459d471",
            "Job put-back",
        ),
    )
    assert all(any(name.endswith(kind) for name in PODS) for kind in kinds)


@pytest.fixture(params=PODS)
def pod(request: pytest.FixtureRequest) -> dict[str, Any]:
    return PODS[request.param]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def test_nothing_of_the_node_is_shared(pod):
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & pod.keys()
    assert not any("hostPort" in port for each in containers(pod) for port in each.get("ports", ()))
    for volume in pod.get("volumes", ()):
        assert set(volume) - {"name"} <= VOLUMES


def test_the_user_is_a_number_and_not_root(pod):
    assert pod["securityContext"]["runAsNonRoot"] is True
    for field in ("runAsUser", "runAsGroup", "fsGroup"):
        assert pod["securityContext"][field] > 0
    for container in containers(pod):
        assert not {"runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile"} & container["securityContext"].keys()


def test_the_runtime_filters_system_calls(pod):
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_containers_have_no_capabilities_and_write_nothing_of_their_root(pod):
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_nothing_is_mounted_or_set_unasked(pod):
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


def test_tokens_are_short_lived(pod):
    sources = [source for volume in pod.get("volumes", ()) for source in volume.get("projected", {}).get("sources", ())]
    for source in sources:
        if "serviceAccountToken" in source:
            assert 600 <= source["serviceAccountToken"]["expirationSeconds"] <= 3600


def test_everything_has_a_limit(pod):
    for container in containers(pod):
        assert set(container["resources"]["limits"]) >= LIMITS
    for volume in pod.get("volumes", ()):
        if "emptyDir" in volume:
            assert volume["emptyDir"]["sizeLimit"]
