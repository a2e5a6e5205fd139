"""What has to happen to agents for the operator to make use of each of its rights.

It reads a child by name only where somebody else's object has the child's name, and deletes only those children that an
agent can come to want no more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from cluster import audit
from cluster.audit import Right
from fakes import backup_rights

Kubectl = Callable[..., str]
"""Output of kubectl in the namespace of the agents; `stdin` is what `--filename=-` reads."""

_LABELS = {"example.com/owner": "somebody-else"}
_POD = {"metadata": {"labels": _LABELS}, "spec": {"containers": [{"name": "other", "image": "other"}]}}
_ROLE_REF = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "nobody"}
FOREIGN: dict[str, dict[str, Any]] = {
    "ServiceAccount": {"apiVersion": "v1"},
    "Service": {"apiVersion": "v1", "spec": {"ports": [{"port": 80}]}},
    "NetworkPolicy": {"apiVersion": "networking.k8s.io/v1", "spec": {"podSelector": {"matchLabels": _LABELS}}},
    "Role": {"apiVersion": "rbac.authorization.k8s.io/v1", "rules": []},
    "RoleBinding": {"apiVersion": "rbac.authorization.k8s.io/v1", "roleRef": _ROLE_REF},
    "Deployment": {
        "apiVersion": "apps/v1",
        "spec": {"replicas": 0, "selector": {"matchLabels": _LABELS}, "template": _POD},
    },
    "PodDisruptionBudget": {"apiVersion": "policy/v1", "spec": {"maxUnavailable": 1}},
    "HorizontalPodAutoscaler": {
        "apiVersion": "autoscaling/v2",
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"}},
    },
}
"""Objects that belong to nobody, by kind; the ConfigMap is made of an agent's own."""
ASKED = {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}
"""What the agents ask for; the operator has to be allowed to grant it."""
_OTHERS = ("-view", "-edit", "-admin", "-grantable")
"""Ends of the names of roles that are for people, or only there to be granted."""
_OWN = "apm.valeo-neuroerp.com"
_NO_CALL = {
    *(
        Right(_OWN, f"{kind}/finalizers", "update")
        for kind in ("agentdeployments", "backuppolicies", "backups", "restores", "agentreports")
    ),
    Right("coordination.k8s.io", "leases", "update"),
    Right("coordination.k8s.io", "leases", "delete"),
}
"""What the API server may ask for beside the call itself: to own, and to grant Jobs their Leases."""
AFTER_JOBS = {Right(_OWN, "backups", "patch"), Right(_OWN, "backups", "delete"), Right("batch", "jobs", "delete")}
"""What the operator does when a Job of a backup has ended, which takes a kubelet."""
_ASKED_BY_PODS = {Right("authentication.k8s.io", "tokenreviews", "create")}
"""What the operator does when a running agent asks it to, with the agent's certificate."""


def held(kubectl: Kubectl) -> set[Right]:
    """The operator's rights that show in calls, as the chart has installed them."""
    selector = "--selector=app.kubernetes.io/name=apm-operator"
    roles = json.loads(kubectl("get", "roles,clusterroles", "--all-namespaces", selector, "--output=json"))["items"]
    own = [role for role in roles if not role["metadata"]["name"].endswith(_OTHERS)]
    return audit.rights(own) - _NO_CALL - _ASKED_BY_PODS - AFTER_JOBS


def use(kubectl: Kubectl, agent: Callable[..., dict[str, Any]], state: dict[str, Any]) -> None:
    """Have it all happen; the agents are left there.

    Args:
        kubectl: kubectl in the agents' namespace.
        agent: makes an agent of a name and fields of its spec.
        state: `spec.state` of agents with several pods.
    """
    scaling = {"maxReplicas": 2, "targetCPUUtilizationPercentage": 80}
    full = {"autoscaling": scaling, "state": state, "permissions": [ASKED]}
    for kind, content in FOREIGN.items():
        name = f"taken-{kind.lower()}"
        _create(kubectl, {"kind": kind, "metadata": {"name": name}, **content})
        _apply(kubectl, agent(name, **full))
        _await(f"{name} is taken", lambda name=name: reason(kubectl, name) == "NameTaken")
    _apply(kubectl, agent("changing", **full))
    extra = "poddisruptionbudget,role,rolebinding,horizontalpodautoscaler"
    _await("all children", lambda: len(_children(kubectl, "changing", extra)) == 4)
    _apply(kubectl, agent("changing"))
    _await("fewer children", lambda: not _children(kubectl, "changing", extra))
    _config_taken(kubectl, agent)
    _secured(kubectl, agent)
    _model_elsewhere(kubectl, agent)
    backup_rights.use(kubectl)


def _model_elsewhere(kubectl: Kubectl, agent: Callable[..., dict[str, Any]]) -> None:
    """A Service without a selector has its addresses in an EndpointSlice, and the agent's policy opens these."""
    name, ports = {"name": "elsewhere", "labels": {"kubernetes.io/service-name": "elsewhere"}}, [{"port": 80}]
    _create(kubectl, {"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": {"ports": ports}})
    addresses = {"addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.7"]}], "ports": ports}
    _create(kubectl, {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": name, **addresses})
    model = {"name": "default", "provider": "openai", "model": "m", "baseURL": "http://elsewhere/v1"}
    _apply(kubectl, agent("reaching", models=[model]))
    policy = ("get", "networkpolicy", "reaching", "--ignore-not-found", "--output=yaml")
    _await("the address is opened", lambda: "192.0.2.7/32" in kubectl(*policy))


def _config_taken(kubectl: Kubectl, agent: Callable[..., dict[str, Any]]) -> None:
    """A config's name follows from its content: it is found out first, and taken when the agent is gone.

    The agent has no pods, which would take their time to end.
    """
    _apply(kubectl, agent("renamed", replicas=0))
    _await("a config", lambda: configs(kubectl, "renamed"))
    (name,) = configs(kubectl, "renamed")
    kubectl("delete", "agentdeployment", "renamed", "--cascade=foreground", "--timeout=120s")
    _await("no config", lambda: not configs(kubectl, "renamed"))
    _create(kubectl, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
    _apply(kubectl, agent("renamed", replicas=0))
    _await("renamed is taken", lambda: reason(kubectl, "renamed") == "NameTaken")


def _secured(kubectl: Kubectl, agent: Callable[..., dict[str, Any]]) -> None:
    """An agent has a certificate as long as it wants one."""

    def certificate() -> str:
        return kubectl("get", "secret", "secured-tls", "--ignore-not-found", "--output=name")

    _apply(kubectl, agent("secured", replicas=0, tls={"mode": "Enabled"}))
    _await("a certificate", certificate)
    _apply(kubectl, agent("secured", replicas=0, tls={"mode": "Disabled"}, auth={"anonymous": True}))
    _await("no certificate", lambda: not certificate())


def configs(kubectl: Kubectl, name: str) -> list[str]:
    """Names of an agent's configs, old ones too."""
    found = [each.partition("/")[2] for each in _children(kubectl, name, "configmap")]
    return [each for each in found if not each.endswith("-trust")]


def reason(kubectl: Kubectl, name: str) -> str:
    """The reason of an agent's Ready condition; "" where it has none yet."""
    status = json.loads(kubectl("get", "agentdeployment", name, "--output=json")).get("status", {})
    return next((c["reason"] for c in status.get("conditions", ()) if c["type"] == "Ready"), "")


def _children(kubectl: Kubectl, name: str, kinds: str) -> list[str]:
    return kubectl("get", kinds, f"--selector=apm.valeo-neuroerp.com/agent={name}", "--output=name").split()


def _create(kubectl: Kubectl, item: dict[str, Any]) -> None:
    kubectl("create", "--filename=-", stdin=json.dumps(item))


def _apply(kubectl: Kubectl, item: dict[str, Any]) -> None:
    kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=json.dumps(item))


def _await(what: str, check: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)
