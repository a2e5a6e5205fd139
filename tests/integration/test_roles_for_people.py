"""The cluster's own roles view, edit and admin hold what the chart adds to them, on an API server that aggregates."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cluster.controlplane import LEAN_CONTROLLERS, ControlPlane, Options
from cluster.instances import control_plane as start_control_plane
from integration.charted import HOME, eventually, installed

GROUP = "apm.valeo-neuroerp.com"
SHOP = "shop"
KINDS = ("agentdeployments", "backuppolicies", "backups", "agentreports", "restores")
WRITES = {
    "view": (),
    "edit": ("agentdeployments", "backuppolicies", "backups", "agentreports"),
    "admin": KINDS,
}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A user for each role, named like it, in one namespace."""
    controllers = (*LEAN_CONTROLLERS, "clusterrole-aggregation-controller")
    with start_control_plane(Options(controllers=controllers)) as plane:
        for namespace in (HOME, SHOP):
            plane.kubectl("create", "namespace", namespace)
        for role in WRITES:
            plane.kubectl(
                "create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}", f"--namespace={SHOP}"
            )
        with installed(plane):
            yield plane


def may(plane: ControlPlane, user: str, verb: str, resource: str, *, namespace: str = SHOP) -> bool:
    resource, _, subresource = resource.partition("/")
    asked = {"group": GROUP, "resource": resource, "verb": verb, "namespace": namespace}
    asked |= {"subresource": subresource} if subresource else {}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": asked},
    }
    answer = plane.kubectl("create", "--filename=-", "--output=json", stdin=json.dumps(review))
    return bool(json.loads(answer)["status"]["allowed"])


@pytest.mark.parametrize("role", WRITES)
def test_a_role_reads_all_kinds_and_writes_its_own(plane: ControlPlane, role: str):
    # The chart adds to a role by up to three of its own, which are taken in one by one.
    taken_in = [("get", "restores"), *(("create", kind) for kind in (*WRITES[role][:1], *WRITES[role][-1:]))]
    eventually(lambda: all(may(plane, role, verb, kind) for verb, kind in taken_in))
    for kind in KINDS:
        assert may(plane, role, "get", kind)
        assert may(plane, role, "get", f"{kind}/status")
        assert not may(plane, role, "get", kind, namespace="default")
        for verb in ("create", "update", "patch", "delete"):
            assert may(plane, role, verb, kind) == (kind in WRITES[role]), (verb, kind)
        assert not may(plane, role, "patch", f"{kind}/status")
    assert may(plane, role, "patch", "agentdeployments/scale") == bool(WRITES[role])


def test_who_has_none_of_the_roles_may_nothing(plane: ControlPlane):
    assert not any(may(plane, "stranger", "get", kind) for kind in KINDS)
