"""An operator with the chart's settings and the chart's rights does its work, and is refused nothing."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cluster.controlplane import ControlPlane, Options
from cluster.instances import control_plane as start_control_plane
from integration.charted import HOME, eventually, installed, operator

SHOP = "shop"
CHILDREN = "serviceaccount,configmap,service,deployment,poddisruptionbudget"
OWNED = "--selector=apm.valeo-neuroerp.com/agent=clerk"


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """An API server that asks for a right on the owner before it takes an owner reference, as OpenShift's does."""
    plugin = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
    with start_control_plane(Options(api_server_flags=(plugin,))) as plane:
        for namespace in (HOME, SHOP):
            plane.kubectl("create", "namespace", namespace)
        yield plane


@pytest.mark.parametrize("values", ["secrets.namespaces={shop}", "watchNamespaces={shop}"])
def test_the_rights_are_enough(plane, tmp_path, values):
    with installed(plane, "--set", values), operator(plane, tmp_path) as url:
        try:
            run_an_agent(plane)
            assert not refusals(url)
        finally:
            plane.kubectl("delete", "agent", "--all", f"--namespace={SHOP}")


def run_an_agent(plane: ControlPlane) -> None:
    """An agent comes, changes and loses a child that it no longer wants, with a Secret that is there from the start."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"uri": "mongodb://db/"}}
    apply(plane, secret)
    apply(plane, agent(replicas=2))
    eventually(lambda: len(plane.kubectl("get", CHILDREN, OWNED, f"--namespace={SHOP}", "--output=name").split()) == 5)
    eventually(lambda: condition(plane)["reason"] == "Progressing")
    apply(plane, agent(replicas=1))
    eventually(lambda: not plane.kubectl("get", "poddisruptionbudget", f"--namespace={SHOP}", "--output=name"))
    plane.kubectl("delete", "secret", "db", f"--namespace={SHOP}")
    plane.kubectl("annotate", "agent", "clerk", "apm.valeo-neuroerp.com/reconcile-at=now", f"--namespace={SHOP}")
    eventually(lambda: condition(plane)["reason"] == "SecretMissing")
    eventually(lambda: "SecretMissing" in plane.kubectl("get", "events", f"--namespace={SHOP}"))


def agent(*, replicas: int) -> dict[str, Any]:
    """An agent whose state needs the Secret `db`."""
    return {
        "apiVersion": "apm.valeo-neuroerp.com/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": "clerk"},
        "spec": {
            "replicas": replicas,
            "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "yes"}]}],
            "workflow": {"start": "answer", "nodes": [{"name": "answer", "uses": "model", "with": {}}]},
            "state": {"mongodb": {"uriSecretRef": {"name": "db", "key": "uri"}}},
        },
    }


def apply(plane: ControlPlane, item: dict[str, Any]) -> None:
    """Apply an object in the agents' namespace."""
    plane.kubectl("apply", "--server-side", f"--namespace={SHOP}", "--filename=-", stdin=json.dumps(item))


def condition(plane: ControlPlane) -> dict[str, Any]:
    """The agent's Ready condition."""
    status = json.loads(plane.kubectl("get", "agent/clerk", f"--namespace={SHOP}", "--output=json")).get("status", {})
    return next((item for item in status.get("conditions", ()) if item["type"] == "Ready"), {"reason": ""})


def refusals(url: str) -> list[str]:
    """The operator's own count of calls that it had no right to make."""
    metrics = httpx.get(f"{url}/metrics").text
    assert "apm_api_calls_total" in metrics
    return [line for line in metrics.splitlines() if line.startswith("apm_api_calls_total") and 'code="403"' in line]
