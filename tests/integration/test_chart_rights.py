"""An operator with the chart's settings and the chart's rights does its work, and is refused nothing."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cluster import gobuild
from cluster.controlplane import ControlPlane, Options
from cluster.instances import control_plane as start_control_plane
from cluster.settings import REPOSITORY

HOME, SHOP = "apm-system", "shop"
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
    helm = [str(gobuild.program("helm")), f"--kubeconfig={plane.kubeconfig}", f"--namespace={HOME}"]
    chart = str(REPOSITORY / "charts" / "apm-operator")
    subprocess.run([*helm, "install", "apm", chart, "--set", values], check=True, capture_output=True)
    try:
        with operator(plane, tmp_path) as url:
            run_an_agent(plane)
            assert not refusals(url)
    finally:
        plane.kubectl("delete", "agent", "--all", f"--namespace={SHOP}")
        subprocess.run([*helm, "uninstall", "apm"], check=True, capture_output=True)


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


@contextmanager
def operator(plane: ControlPlane, folder: Path) -> Iterator[str]:
    """The operator as the chart's Deployment would start it, with its ServiceAccount's token; yields its address."""
    deployment = json.loads(plane.kubectl("get", "deployment/apm-operator", f"--namespace={HOME}", "--output=json"))
    spec = deployment["spec"]["template"]["spec"]
    settings = {entry["name"]: entry.get("value") or "" for entry in spec["containers"][0]["env"]}
    settings |= {"POD_NAME": "apm-operator-0", "APM_OPERATOR_NAMESPACE": HOME}
    settings |= {"APM_HTTP_HOST": "127.0.0.1", "APM_HTTP_PORT": "0"}
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}"}
    account = kubeconfig_of(plane, spec["serviceAccountName"], folder)
    log = folder / "log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "apm_operator"]
        process = subprocess.Popen(command, env={**settings, **paths, "KUBECONFIG": str(account)}, stderr=output)
    try:
        port = eventually(lambda: re.search(r'"port": (\d+)', log.read_text()))
        url = f"http://127.0.0.1:{port[1]}"
        eventually(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def kubeconfig_of(plane: ControlPlane, account: str, folder: Path) -> Path:
    """A kubeconfig with nothing but a ServiceAccount's token."""
    config = yaml.safe_load(plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": plane.kubectl("create", "token", account, f"--namespace={HOME}").strip()}
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


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


def eventually(check: Callable[[], Any], seconds: float = 30) -> Any:
    """Poll until `check` gives something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)
    return found
