import json
from pathlib import Path
from typing import Any

import pytest

from cluster.audit import OPERATOR, Call, Right, read, refused, rights, unused

ROLE = {
    "rules": [
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "create", "patch"]},
        {"apiGroups": ["x"], "resources": ["agents/status"], "verbs": ["patch"]},
        {"apiGroups": ["y"], "resources": ["leases"], "verbs": ["get"], "resourceNames": ["a", "b"]},
    ]
}


def entry(
    verb: str,
    resource: str,
    *,
    group: str = "",
    name: str = "",
    code: int = 200,
    decision: str = "allow",
    **fields: Any,
) -> str:
    about = {"resource": resource, "apiGroup": group, "namespace": "shop", "name": name}
    return json.dumps(
        {
            "user": {"username": OPERATOR},
            "verb": verb,
            "objectRef": about | fields.pop("about", {}),
            "responseStatus": {"code": code},
            "annotations": {"authorization.k8s.io/decision": decision},
            "requestReceivedTimestamp": "2026-01-02T00:00:00.000000Z",
        }
        | fields
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def test_rights_are_taken_apart():
    assert rights([ROLE]) == {
        Right("apps", "deployments", "get"),
        Right("apps", "deployments", "create"),
        Right("apps", "deployments", "patch"),
        Right("x", "agents/status", "patch"),
        Right("y", "leases", "get", "a"),
        Right("y", "leases", "get", "b"),
    }


def test_a_right_that_no_call_needs_is_found(log: Path):
    lines = [
        entry("get", "deployments", group="apps", name="one"),
        entry("patch", "deployments", group="apps", name="one"),
        entry("patch", "agents", group="x", about={"subresource": "status"}),
        entry("get", "leases", group="y", name="a"),
    ]
    log.write_text("\n".join(lines))
    assert unused(rights([ROLE]), read(log)) == {
        Right("apps", "deployments", "create"),
        Right("y", "leases", "get", "b"),
    }


def test_an_apply_that_makes_an_object_needs_the_right_to_create(log: Path):
    log.write_text(entry("patch", "deployments", group="apps", name="one", code=201))
    assert unused({Right("apps", "deployments", "create"), Right("apps", "deployments", "patch")}, read(log)) == set()


@pytest.mark.parametrize(
    "line",
    [
        entry("get", "deployments", group="extensions"),
        entry("get", "replicasets", group="apps"),
        entry("list", "deployments", group="apps"),
        entry("get", "deployments", group="apps", about={"subresource": "scale"}),
        entry("get", "deployments", group="apps", user={"username": "somebody"}),
        entry("get", "deployments", group="apps", requestReceivedTimestamp="2026-01-01T00:00:00.000000Z"),
    ],
)
def test_another_call_does_not_count(log: Path, line: str):
    log.write_text(line)
    right = Right("apps", "deployments", "get")
    assert unused({right}, read(log, since="2026-01-01T12:00:00Z")) == {right}


def test_what_was_refused_is_found(log: Path):
    lines = [
        entry("get", "secrets", name="a", code=403, decision="forbid"),
        entry("list", "secrets"),
        entry("patch", "services", name="c", code=403),
    ]
    log.write_text("\n".join(lines))
    assert refused(read(log)) == {Call("", "secrets", "get", "shop", "a", 403, allowed=False)}


def test_what_was_refused_for_a_moment_does_not_count(log: Path):
    log.write_text("\n".join(entry("get", "services", name="a", decision=said) for said in ("forbid", "allow")))
    assert refused(read(log)) == set()


def test_paths_that_are_no_resources_are_left_out(log: Path):
    line = json.loads(entry("get", ""))
    del line["objectRef"]
    log.write_text(json.dumps(line))
    assert read(log) == []
