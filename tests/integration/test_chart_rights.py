"""The chart's rights are enough for the operator's work, and none of them is left over."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from apm_operator.kinds import CHILDREN as KINDS
from cluster import audit
from cluster.controlplane import ControlPlane, Options
from cluster.instances import control_plane as start_control_plane
from fakes import every_right
from integration.charted import ACCOUNT, HOME, eventually, installed, operator

SHOP = "shop"
STATE = {"mongodb": {"uriSecretRef": {"name": "db", "key": "uri"}}}
CHILDREN = "serviceaccount,configmap,service,networkpolicy,deployment,poddisruptionbudget"
OWNED = "--selector=apm.valeo-neuroerp.com/agent=clerk"


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """An API server that asks for a right on the owner before it takes an owner reference, as OpenShift's does."""
    plugin = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
    with start_control_plane(Options(api_server_flags=(plugin,), audited_user=ACCOUNT)) as plane:
        for namespace in (HOME, SHOP):
            plane.kubectl("create", "namespace", namespace)
        yield plane


@pytest.mark.parametrize("values", ["secrets.namespaces={shop}", "watchNamespaces={shop}"])
def test_every_right_is_used_and_none_is_missing(plane, tmp_path, values):
    plane.audit_log.write_text("")
    grantable = f"permissions.grantable={json.dumps([every_right.ASKED])}"
    with installed(plane, "--set", values, "--set-json", grantable):
        held = every_right.held(plane.kubectl)
        try:
            with operator(plane, tmp_path):
                run_an_agent(plane)
                every_right.use(within_shop(plane), agent, STATE)
                replaced_config(plane)
        finally:
            clear(plane)
    calls = audit.read(plane.audit_log, ACCOUNT)
    assert audit.refused(calls) == set()
    assert audit.unused(held, calls) == set()
    read = {call.name for call in calls if call.resource == "secrets" and call.namespace == SHOP}
    assert {name for name in read if not name.endswith("-tls")} == {"db"}, "only what an agent names is read"


def test_the_name_of_every_child_is_taken_once():
    assert {*every_right.FOREIGN, "ConfigMap"} == {resource.kind for resource in KINDS}


def within_shop(plane: ControlPlane) -> every_right.Kubectl:
    return lambda *arguments, stdin=None: plane.kubectl(f"--namespace={SHOP}", *arguments, stdin=stdin)


def replaced_config(plane: ControlPlane) -> None:
    """An older config goes when its last pod has: no pod runs here, so that the Deployment is said to be complete."""
    kubectl = within_shop(plane)
    apply(plane, agent("replaced", description="one"))
    eventually(lambda: len(every_right.configs(kubectl, "replaced")) == 1)
    apply(plane, agent("replaced", description="two"))
    eventually(lambda: len(every_right.configs(kubectl, "replaced")) == 2)
    generation = json.loads(kubectl("get", "deployment", "replaced", "--output=json"))["metadata"]["generation"]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    patch = json.dumps({"status": {"observedGeneration": generation, **counts}})
    kubectl("patch", "deployment", "replaced", "--subresource=status", "--type=merge", f"--patch={patch}")
    eventually(lambda: len(every_right.configs(kubectl, "replaced")) == 1)


def clear(plane: ControlPlane) -> None:
    """Leave neither agents nor what was in their way, nor the lease and certificates of the operator."""
    kubectl = within_shop(plane)
    kubectl("delete", "agent", "--all")
    for kind in (*every_right.FOREIGN, "configmap", "endpointslice"):
        kubectl("delete", kind, "--all")
    plane.kubectl("delete", "lease", "--all", f"--namespace={HOME}")
    plane.kubectl("delete", "secret", "--field-selector=type!=helm.sh/release.v1", f"--namespace={HOME}")


def run_an_agent(plane: ControlPlane) -> None:
    """An agent comes, changes and loses a child that it no longer wants, with a Secret that is there from the start."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"uri": "mongodb://db/"}}
    apply(plane, secret)
    apply(plane, agent("clerk", replicas=2, state=STATE))
    eventually(lambda: len(kinds(plane)) == len(CHILDREN.split(",")))
    eventually(lambda: condition(plane)["reason"] == "Progressing")
    apply(plane, agent("clerk", state=STATE))
    eventually(lambda: not plane.kubectl("get", "poddisruptionbudget", f"--namespace={SHOP}", "--output=name"))
    plane.kubectl("delete", "secret", "db", f"--namespace={SHOP}")
    plane.kubectl("annotate", "agent", "clerk", "apm.valeo-neuroerp.com/reconcile-at=now", f"--namespace={SHOP}")
    eventually(lambda: condition(plane)["reason"] == "SecretMissing")
    eventually(lambda: "SecretMissing" in plane.kubectl("get", "events", f"--namespace={SHOP}"))


def kinds(plane: ControlPlane) -> set[str]:
    """The kinds of which the agent has children."""
    names = plane.kubectl("get", CHILDREN, OWNED, f"--namespace={SHOP}", "--output=name").split()
    return {name.partition("/")[0] for name in names}


def agent(name: str, **spec: Any) -> dict[str, Any]:
    """An agent with a scripted model."""
    model = {"name": "default", "provider": "scripted", "script": [{"reply": "yes"}]}
    workflow = {"start": "answer", "nodes": [{"name": "answer", "uses": "model", "with": {}}]}
    return {
        "apiVersion": "apm.valeo-neuroerp.com/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": name},
        "spec": {"models": [model], "workflow": workflow, **spec},
    }


def apply(plane: ControlPlane, item: dict[str, Any]) -> None:
    """Apply an object in the agents' namespace."""
    plane.kubectl("apply", "--server-side", f"--namespace={SHOP}", "--filename=-", stdin=json.dumps(item))


def condition(plane: ControlPlane) -> dict[str, Any]:
    """The agent's Ready condition."""
    status = json.loads(plane.kubectl("get", "agent/clerk", f"--namespace={SHOP}", "--output=json")).get("status", {})
    return next((item for item in status.get("conditions", ()) if item["type"] == "Ready"), {"reason": ""})
