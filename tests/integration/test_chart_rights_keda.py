"""The rights that the chart adds for KEDA are enough to ask it and to leave it again, and none of them is left over."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import audit
from cluster.controlplane import ControlPlane, Options
from cluster.instances import control_plane as start_control_plane
from fakes import every_right
from integration.charted import ACCOUNT, HOME, eventually, installed, operator
from integration.test_autoscaling_keda import QUEUE, serve
from integration.test_chart_rights import SHOP, STATE, agent, apply

GROUP = "keda.sh"
KINDS = "scaledobject,triggerauthentication"
ACTIVATORS = {"deployments", "networkpolicies", "services"}
"""What is deleted when an agent is not to sleep any more."""


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """An API server that knows KEDA's kinds, and asks for a right on the owner before it takes an owner reference."""
    plugin = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
    with start_control_plane(Options(api_server_flags=(plugin,), audited_user=ACCOUNT)) as plane:
        serve(plane)
        for namespace in (HOME, SHOP):
            plane.kubectl("create", "namespace", namespace)
        plane.kubectl("create", "secret", "generic", "db", "--from-literal=uri=mongodb://db/", f"--namespace={SHOP}")
        yield plane


# Agents of names of their own: what one leaves may take a minute to be collected in a young cluster.
@pytest.mark.parametrize(
    ("where", "name"), [("secrets.namespaces={shop}", "wide"), ("watchNamespaces={shop}", "narrow")]
)
def test_every_right_is_used_and_none_is_missing(plane: ControlPlane, tmp_path: Path, where: str, name: str):
    plane.audit_log.write_text("")
    with installed(plane, f"--set={where}", "--set=autoscaling.keda=true"):
        held = {right for right in every_right.held(plane.kubectl) if right.group == GROUP or _for_activators(right)}
        assert {right.resource for right in held} == {"scaledobjects", "triggerauthentications", *ACTIVATORS}
        try:
            with operator(plane, tmp_path):
                ask_and_leave(plane, name)
        finally:
            clear(plane)
    calls = audit.read(plane.audit_log, ACCOUNT)
    assert audit.refused(calls) == set()
    assert audit.unused(held, calls) == set()


def _for_activators(right: audit.Right) -> bool:
    return right.verb == "delete" and right.resource in ACTIVATORS


def test_without_them_the_agent_says_which_value_gives_them(plane: ControlPlane, tmp_path: Path):
    with installed(plane, "--set=secrets.namespaces={shop}"):
        try:
            with operator(plane, tmp_path):
                apply(plane, agent("refused", state=STATE, autoscaling=QUEUE))
                eventually(lambda: autoscaling(plane, "refused").get("reason") == "KedaForbidden")
                assert "autoscaling.keda" in autoscaling(plane, "refused")["message"]
                assert asked(plane) == []
        finally:
            clear(plane)


def ask_and_leave(plane: ControlPlane, name: str) -> None:
    """An agent is scaled by its queue, and then is not any more."""
    apply(plane, agent(name, state=STATE, autoscaling=QUEUE))
    eventually(lambda: autoscaling(plane, name).get("reason") == "KedaNotReady")
    assert len(asked(plane)) == 2
    assert len(activators(plane, name)) == 4
    apply(plane, agent(name, state=STATE))
    eventually(lambda: asked(plane) == [] and activators(plane, name) == [])


def asked(plane: ControlPlane) -> list[str]:
    """What there is of KEDA's kinds."""
    return plane.kubectl("get", KINDS, f"--namespace={SHOP}", "--output=name").split()


def activators(plane: ControlPlane, name: str) -> list[str]:
    """What there is for the agent to be woken by requests."""
    kinds = ",".join(sorted(ACTIVATORS))
    found = plane.kubectl("get", kinds, f"--namespace={SHOP}", "--output=name").split()
    return [each for each in found if each.endswith((f"/{name}-activator", f"/{name}-awake"))]


def autoscaling(plane: ControlPlane, name: str) -> dict[str, Any]:
    """The condition of an agent."""
    status = json.loads(plane.kubectl("get", f"agent/{name}", f"--namespace={SHOP}", "--output=json")).get("status", {})
    return next((each for each in status.get("conditions", ()) if each["type"] == "Autoscaling"), {})


def clear(plane: ControlPlane) -> None:
    """Leave no agent, nor the lease and certificates of the operator."""
    plane.kubectl("delete", "agent", "--all", f"--namespace={SHOP}")
    for kind in KINDS.split(","):
        plane.kubectl("delete", kind, "--all", f"--namespace={SHOP}")
    plane.kubectl("delete", "lease", "--all", f"--namespace={HOME}")
    plane.kubectl("delete", "secret", "--field-selector=type!=helm.sh/release.v1", f"--namespace={HOME}")
