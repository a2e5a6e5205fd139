"""The audit against a real API server, with what it finds there made by hand: no operator runs."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agent_runtime.spec.identity import agent_uri
from apm_operator.kinds import NETWORK_POLICIES
from apm_operator.pki import certificates
from apm_operator.pki.certificates import Subject
from apm_operator.queue import Key
from cluster.settings import REPOSITORY
from fakes.applied import as_applied
from integration.operators import eventually, operator

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

AGENT_LABEL = "apm.valeo-neuroerp.com/agent"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
DAY = 86400.0


def audit(kubeconfig: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}"}
    command = [sys.executable, "-m", "apm_operator", "audit", *options]
    given = {**paths, "KUBECONFIG": str(kubeconfig), **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=60)


def create(plane: ControlPlane, namespace: str, *items: dict[str, Any]) -> None:
    stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    plane.kubectl("create", f"--namespace={namespace}", "--filename=-", stdin=stdin)


def agent(name: str) -> dict[str, Any]:
    """An agent that says nothing of TLS or its callers: what the schema makes of it is what an audit expects."""
    model = {"name": "default", "provider": "scripted", "script": [{"reply": "Hello"}]}
    workflow = {"start": "answer", "nodes": [{"name": "answer", "uses": "model"}]}
    return {
        "apiVersion": "apm.valeo-neuroerp.com/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": name},
        "spec": {"models": [model], "workflow": workflow},
    }


def policy(name: str) -> dict[str, Any]:
    """A policy that lets DNS out and one agent in."""
    front = {"podSelector": {"matchExpressions": [{"key": AGENT_LABEL, "operator": "In", "values": ["front"]}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": {AGENT_LABEL: name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [front], "ports": [{"port": 8443, "protocol": "TCP"}]}],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.96.0.10/32"}}], "ports": [{"port": 53, "protocol": "UDP"}]}],
        },
    }


def tls(namespace: str, name: str) -> dict[str, Any]:
    """A Secret with a certificate of ninety days."""
    now = time.time()
    pair = certificates.sign(
        certificates.authority(now, 900 * DAY), Subject(agent_uri(namespace, name), (name,)), now, 90 * DAY
    )
    data = {"tls.crt": pair.certificate, "tls.key": pair.key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{name}-tls"},
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


@pytest.fixture
def clerk(control_plane: ControlPlane, namespace: str) -> str:
    """A namespace with one agent that is as it should be."""
    control_plane.kubectl("label", "namespace", namespace, RESTRICTED)
    trust = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "clerk-trust"},
        "data": {"callers.json": json.dumps({"agents": [f"{namespace}/front"]})},
    }
    create(control_plane, namespace, agent("clerk"), tls(namespace, "clerk"), trust)
    uid = control_plane.kubectl(
        "get", "agent", "clerk", f"--namespace={namespace}", "--output=jsonpath={.metadata.uid}"
    )
    create(control_plane, namespace, as_applied(NETWORK_POLICIES, policy("clerk"), Key(namespace, "clerk"), uid))
    return namespace


def test_an_agent_as_it_should_be(control_plane, clerk):
    told = audit(control_plane.kubeconfig, "--namespace", clerk, "--output=json")
    assert told.returncode == 0, told.stderr
    report = json.loads(told.stdout)
    assert report["deviations"] == 0
    (found,) = report["agents"]
    assert found["reaches"] == [{"peer": "10.96.0.10/32", "ports": ["53/UDP"]}]
    assert found["reachedBy"] == [{"peer": f"agent {clerk}/front", "ports": ["8443/TCP"]}]
    assert found["callers"] == [f"agent {clerk}/front"]
    assert found["certificate"]["expires"] > "2026"
    assert "PRIVATE KEY" not in told.stdout


def test_a_deviation_fails_until_it_is_accepted(control_plane, clerk):
    control_plane.kubectl("delete", "networkpolicy", "clerk", f"--namespace={clerk}")
    told = audit(control_plane.kubeconfig, "--namespace", clerk)
    assert told.returncode == 1
    assert "policy-missing: there is no NetworkPolicy clerk that selects its pods" in told.stdout
    assert told.stdout.rstrip().endswith("1 agent, 3 deviations, 0 accepted")
    reason = "apm.valeo-neuroerp.com/audit-accept=policy-missing: until the move"
    control_plane.kubectl("annotate", "agent", "clerk", reason, f"--namespace={clerk}")
    told = audit(control_plane.kubeconfig, "--namespace", clerk)
    assert told.returncode == 0
    assert "(accepted: until the move)" in told.stdout


def test_what_the_operator_wrote_is_known_until_somebody_changes_it(control_plane, namespace, tmp_path):
    control_plane.kubectl("label", "namespace", namespace, RESTRICTED)
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["menu"], "verbs": ["get"]}
    clerk = agent("clerk")
    network = {
        "ingressFrom": [{"podSelector": {"matchLabels": {"app": "shop"}}}],
        "egressTo": [{"cidr": "192.0.2.0/24"}],
    }
    clerk["spec"] |= {"permissions": [rule], "network": network}
    settings = {"APM_GRANTABLE": json.dumps([rule])}
    with operator(control_plane.kubeconfig, namespace, tmp_path / "log", **settings):
        create(control_plane, namespace, clerk)
        eventually("an agent without deviations", lambda: deviations(control_plane, namespace) == set())
    kubectl = partial(control_plane.kubectl, f"--namespace={namespace}", "patch", "--type=json")
    kubectl("networkpolicy", "clerk", '--patch=[{"op": "add", "path": "/spec/egress/-", "value": {}}]')
    assert deviations(control_plane, namespace) == {"policy-beyond-resource", "wide-block"}
    kubectl("role", "clerk", '--patch=[{"op": "add", "path": "/rules/0/resourceNames/-", "value": "prices"}]')
    assert deviations(control_plane, namespace) == {"policy-beyond-resource", "wide-block", "rights-beyond-resource"}


def deviations(plane: ControlPlane, namespace: str) -> set[str]:
    told = audit(plane.kubeconfig, "--namespace", namespace, "--output=json")
    assert told.returncode in {0, 1}, told.stderr
    return {one["id"] for one in json.loads(told.stdout)["agents"][0]["deviations"]}


def test_rights_given_by_hand_are_found(control_plane, clerk):
    control_plane.kubectl(
        "create",
        "rolebinding",
        "extra",
        "--clusterrole=cluster-admin",
        f"--serviceaccount={clerk}:clerk",
        f"--namespace={clerk}",
    )
    told = audit(control_plane.kubeconfig, "--namespace", clerk, "--output=json")
    assert told.returncode == 1
    ids = {one["id"] for one in json.loads(told.stdout)["agents"][0]["deviations"]}
    assert ids == {"rights-secrets", "rights-beyond-resource"}


def test_an_agent_that_is_nested_without_end_hides_no_other(control_plane, clerk):
    deep = agent("deep")
    deep["spec"]["workflow"]["nodes"][0]["with"] = {"output": {"default": "DEEP"}}
    levels = 5_000
    text = json.dumps(deep).replace('"DEEP"', "[" * levels + "]" * levels)
    control_plane.kubectl("create", f"--namespace={clerk}", "--filename=-", stdin=text)
    told = audit(control_plane.kubeconfig, "--namespace", clerk, "--output=json")
    assert "Traceback" not in told.stderr
    assert [each["name"] for each in json.loads(told.stdout)["agents"]] == ["clerk", "deep"]


def test_all_namespaces_are_looked_at(control_plane, clerk):
    told = audit(control_plane.kubeconfig, "--all-namespaces", "--output=json")
    assert (clerk, "clerk") in {(each["namespace"], each["name"]) for each in json.loads(told.stdout)["agents"]}


def test_the_namespace_of_the_context_is_the_default(control_plane, clerk, tmp_path):
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = clerk
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    assert "1 agent, 0 deviations" in audit(Path("/nonexistent"), f"--kubeconfig={file}").stdout


@pytest.mark.parametrize("rights", [None, "view"])
def test_a_user_without_the_rights(control_plane, clerk, tmp_path, rights):
    control_plane.kubectl("create", "serviceaccount", "auditor", f"--namespace={clerk}")
    if rights:
        rules = ["--verb=get,list", "--resource=agentdeployments.apm.valeo-neuroerp.com,networkpolicies"]
        control_plane.kubectl("create", "role", "auditor", *rules, f"--namespace={clerk}")
        control_plane.kubectl(
            "create",
            "rolebinding",
            "auditor",
            "--role=auditor",
            f"--serviceaccount={clerk}:auditor",
            f"--namespace={clerk}",
        )
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    token = control_plane.kubectl("create", "token", "auditor", f"--namespace={clerk}").strip()
    config["users"][0]["user"] = {"token": token}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    told = audit(file, "--namespace", clerk, "--output=json")
    if rights is None:
        assert told.returncode == 2
        assert "forbidden" in told.stderr
        assert "Traceback" not in told.stderr
        return
    assert told.returncode == 0, told.stderr
    hidden = json.loads(told.stdout)["agents"][0]["notReadable"]
    assert {"Namespace", "Secret", "RoleBinding", "ClusterRoleBinding"} <= set(hidden)


def test_a_kubeconfig_that_is_none_is_told_in_one_line(tmp_path):
    file = tmp_path / "kubeconfig"
    file.write_text("a: [")
    told = audit(file)
    assert told.returncode == 2
    assert "Traceback" not in told.stderr
