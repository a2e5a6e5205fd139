"""What an agent is granted in the Kubernetes API, and that nobody gets more by it than the operator's list allows.

The operator has the chart's rights and no others; the user may write agents, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.controlplane import ControlPlane
from cluster.errors import ClusterError
from cluster.instances import control_plane as start_control_plane
from integration.charted import HOME, eventually, installed, operator
from integration.operators import agent

SHOP = "shop"
USER = "mallory"
MENU = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["menu"], "verbs": ["get"]}
EVENTS = {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}
KEY = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["key"], "verbs": ["get"]}
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
GRANTABLE = [MENU, EVENTS, KEY]
AGENT_LABEL = "apm.valeo-neuroerp.com/agent"

Grant = Callable[..., None]


class Shop:
    """The namespace, as its administrator and as the user see it."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.plane.kubectl(f"--namespace={SHOP}", *arguments, stdin=stdin)

    def create(self, name: str, **spec: Any) -> None:
        """The user creates an agent; fields that the schema does not know are sent all the same."""
        item = json.dumps(agent(name, SHOP, **spec))
        self.kubectl("create", f"--as={USER}", "--validate=ignore", "--filename=-", stdin=item)

    def write(
        self, name: str, *permissions: dict[str, Any], metadata: dict[str, Any] | None = None, **spec: Any
    ) -> None:
        """The user applies an agent."""
        item = agent(name, SHOP, permissions=permissions, **spec)
        item["metadata"] |= metadata or {}
        user = (f"--as={USER}", "--server-side", "--force-conflicts")
        self.kubectl("apply", *user, "--filename=-", stdin=json.dumps(item))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found = self.kubectl("get", kind, name, "--ignore-not-found", "--output=json")
        return json.loads(found) if found else {}

    def becomes(self, name: str, reason: str) -> str:
        """Wait until the newest spec has this reason; the message."""

        def look() -> dict[str, Any]:
            found = self.get("agent", name)
            ready = next((c for c in found.get("status", {}).get("conditions", ()) if c["type"] == "Ready"), {})
            current = ready.get("observedGeneration") == found["metadata"]["generation"]
            return ready if current and ready["reason"] == reason else {}

        return str(eventually(look)["message"])

    def rights(self, account: str) -> list[dict[str, Any]]:
        """What a ServiceAccount may do in the namespace, beside what any may.

        The API server itself learns of a Role a moment after it was made.
        """
        usual = self._rules("nobody")
        return [rule for rule in self._rules(account) if rule not in usual]

    def _rules(self, account: str) -> list[dict[str, Any]]:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": SHOP},
        }
        who = f"--as=system:serviceaccount:{SHOP}:{account}"
        answer = self.kubectl(
            "create", who, "--validate=ignore", "--filename=-", "--output=json", stdin=json.dumps(review)
        )
        rules: list[dict[str, Any]] = json.loads(answer)["status"]["resourceRules"]
        return rules

    def has_token(self, name: str) -> bool:
        """Whether an agent's pods are given a token."""
        spec = self.get("deployment", name)["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        return "serviceAccountToken" in json.dumps(spec["volumes"])


@pytest.fixture(scope="module")
def charted() -> Iterator[ControlPlane]:
    """The chart with a list of what may be granted, and a user who may write agents."""
    options = (
        "--set-json",
        f"permissions.grantable={json.dumps(GRANTABLE)}",
        "--set",
        f"secrets.namespaces={{{SHOP}}}",
    )
    with start_control_plane() as plane:
        for namespace in (HOME, SHOP):
            plane.kubectl("create", "namespace", namespace)
        with installed(plane, *options):
            within = f"--namespace={SHOP}"
            agents = "--resource=agentdeployments.apm.valeo-neuroerp.com"
            plane.kubectl("create", "role", "writer", "--verb=*", agents, within)
            plane.kubectl("create", "rolebinding", "writer", "--role=writer", f"--user={USER}", within)
            yield plane


def test_what_the_operator_does_not_hold_is_refused_by_the_api_server(charted: ControlPlane, tmp_path: Path):
    """A list that says more than the operator's rights do, as after an edit by hand."""
    shop = Shop(charted)
    with operator(charted, tmp_path, APM_GRANTABLE=json.dumps([PODS])):
        shop.write("early", PODS)
        # It holds `list` and `watch` on pods for its own work, and not `get`.
        assert "not currently held" in shop.becomes("early", "PermissionsNotGranted")
        assert shop.rights("early") == []


@pytest.fixture(scope="module")
def shop(charted: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with operator(charted, tmp_path_factory.mktemp("operator")):
        yield Shop(charted)


def test_an_agent_has_what_it_asks_for_as_long_as_it_asks(shop: Shop):
    shop.write("clerk", MENU, EVENTS)
    shop.becomes("clerk", "Progressing")
    eventually(lambda: shop.rights("clerk") == [MENU, EVENTS])
    assert shop.has_token("clerk")
    shop.write("clerk", EVENTS)
    eventually(lambda: shop.rights("clerk") == [EVENTS])
    shop.write("clerk")
    eventually(lambda: not shop.get("role", "clerk") and not shop.get("rolebinding", "clerk"))
    assert shop.rights("clerk") == []
    assert not shop.has_token("clerk")


def test_a_secret_is_granted_by_its_name(shop: Shop):
    shop.write("reader", KEY)
    shop.becomes("reader", "Progressing")
    eventually(lambda: shop.rights("reader") == [KEY])


def test_what_somebody_changes_is_put_right(shop: Shop):
    shop.write("steady", MENU)
    shop.becomes("steady", "Progressing")
    more = {"rules": [MENU, {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
    shop.kubectl("patch", "role", "steady", "--type=merge", f"--patch={json.dumps(more)}")
    eventually(lambda: shop.rights("steady") == [MENU])
    for kind in ("role", "rolebinding"):
        shop.kubectl("delete", kind, "steady")
        eventually(lambda: shop.rights("steady") == [MENU])
    guest = {"subjects": [{"kind": "User", "name": "guest", "apiGroup": "rbac.authorization.k8s.io"}]}
    shop.kubectl("patch", "rolebinding", "steady", "--type=merge", f"--patch={json.dumps(guest)}")
    eventually(lambda: shop.rights("steady") == [MENU])


def test_a_binding_to_another_role_is_made_anew(shop: Shop):
    """What a binding refers to can't be changed."""
    shop.write("bound", MENU)
    shop.becomes("bound", "Progressing")
    shop.write("bound", MENU, suspend=True)
    shop.becomes("bound", "Suspended")
    binding = shop.get("rolebinding", "bound")
    kept = {name: binding["metadata"][name] for name in ("name", "labels", "annotations", "ownerReferences")}
    binding |= {"metadata": kept, "roleRef": {**binding["roleRef"], "kind": "ClusterRole", "name": "cluster-admin"}}
    shop.kubectl("replace", "--force", "--filename=-", stdin=json.dumps(binding))
    shop.write("bound", MENU)
    eventually(lambda: shop.get("rolebinding", "bound").get("roleRef", {}).get("name") == "bound")
    eventually(lambda: shop.rights("bound") == [MENU])


MORE_THAN_LISTED = {
    "another-name": [MENU | {"resourceNames": ["menu", "apm-secrets"]}],
    "no-name": [{name: value for name, value in MENU.items() if name != "resourceNames"}],
    "another-verb": [MENU | {"verbs": ["get", "list"]}],
    "joined": [MENU | {"resourceNames": ["menu", "key"]}],
    "rights-of-the-operator": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}],
    "secrets-of-the-operator": [KEY | {"resourceNames": ["db"]}],
    "one-of-two": [MENU, PODS],
    "logs": [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}],
    "custom": [{"apiGroups": ["shop.example.com"], "resources": ["orders"], "verbs": ["get"]}],
    "deployments": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}],
}


@pytest.mark.parametrize("case", MORE_THAN_LISTED)
def test_more_than_is_listed_is_refused(shop: Shop, case: str):
    shop.write(f"more-{case}", *MORE_THAN_LISTED[case])
    assert "permissions.grantable" in shop.becomes(f"more-{case}", "PermissionsNotGranted")
    assert shop.rights(f"more-{case}") == []
    assert not shop.get("role", f"more-{case}")
    assert not shop.has_token(f"more-{case}")


REFUSED_BY_THE_SCHEMA: dict[str, dict[str, Any]] = {
    "wildcard-verb": {"permissions": [MENU | {"verbs": ["*"]}]},
    "wildcard-group": {"permissions": [MENU | {"apiGroups": ["*"]}]},
    "wildcard-subresource": {"permissions": [MENU | {"resources": ["pods/*"]}]},
    "empty-name": {"permissions": [MENU | {"resourceNames": [""]}]},
    "only-urls": {"permissions": [{"nonResourceURLs": ["/*"], "verbs": ["get"]}]},
    "escalate": {
        "permissions": [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["get"]}]
    },
    "bind": {"permissions": [MENU | {"verbs": ["bind"]}]},
    "exec": {"permissions": [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]},
    "token": {"permissions": [{"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}]},
    "labels": {"podTemplate": {"metadata": {"labels": {AGENT_LABEL: "clerk"}}}},
    "annotations": {"podTemplate": {"metadata": {"annotations": {f"{AGENT_LABEL}s": "x"}}}},
}


@pytest.mark.parametrize("case", REFUSED_BY_THE_SCHEMA)
def test_what_no_agent_may_have_is_refused_at_once(shop: Shop, case: str):
    with pytest.raises(ClusterError, match="is invalid"):
        shop.create(f"bad-{case}", **REFUSED_BY_THE_SCHEMA[case])


def test_fields_that_the_schema_does_not_know_change_nothing(shop: Shop):
    admin = {"aggregationRule": {"clusterRoleSelectors": [{}]}, "roleRef": {"kind": "ClusterRole", "name": "admin"}}
    pod = {"serviceAccountName": "clerk", "spec": {"serviceAccountName": "clerk"}}
    shop.create("curious", permissions=[MENU | {"nonResourceURLs": ["/*"]} | admin], **pod, podTemplate=pod)
    shop.becomes("curious", "Progressing")
    eventually(lambda: shop.rights("curious") == [MENU])
    assert shop.get("rolebinding", "curious")["roleRef"]["kind"] == "Role"
    assert shop.get("deployment", "curious")["spec"]["template"]["spec"]["serviceAccountName"] == "curious"


def test_an_owner_and_labels_of_the_users_own_give_nothing(shop: Shop):
    shop.write("parent", MENU)
    shop.becomes("parent", "Progressing")
    role = shop.get("role", "parent")
    owner = {"apiVersion": role["apiVersion"], "kind": "Role", "name": "parent", "uid": role["metadata"]["uid"]}
    shop.write("child", metadata={"ownerReferences": [owner], "labels": {AGENT_LABEL: "parent"}})
    shop.becomes("child", "Progressing")
    assert shop.rights("child") == []
    eventually(lambda: shop.rights("parent") == [MENU])


@pytest.mark.parametrize("kind", ["role", "rolebinding"])
def test_what_others_have_made_is_left_as_it_is(shop: Shop, kind: str):
    name = f"taken-{kind}"
    if kind == "role":
        shop.kubectl("create", "role", name, "--verb=*", "--resource=secrets")
    else:
        shop.kubectl("create", "rolebinding", name, "--clusterrole=cluster-admin", "--user=root")
    before = shop.get(kind, name)
    shop.write(name, MENU)
    shop.becomes(name, "NameTaken")
    assert shop.get(kind, name) == before
    assert shop.rights(name) == []


def test_the_user_has_no_way_around_the_operator(shop: Shop):
    """He has the rights that this test gives him, and nothing that the operator has made gives him more."""
    for item in ("role", "rolebinding", "serviceaccount", "secret", "configmap", "pod", "deployment"):
        with pytest.raises(ClusterError, match="forbidden"):
            shop.kubectl("get", item, f"--as={USER}")
    with pytest.raises(ClusterError, match="forbidden"):
        shop.kubectl("create", "token", "clerk", f"--as={USER}")


def test_what_is_taken_off_the_list_is_taken_back(charted: ControlPlane, shop: Shop, tmp_path: Path):
    shop.write("former", EVENTS, MENU)
    shop.becomes("former", "Progressing")
    eventually(lambda: shop.rights("former") == [EVENTS, MENU])
    with operator(charted, tmp_path, APM_GRANTABLE=json.dumps([EVENTS]), APM_LEADER_ELECTION="false"):
        shop.becomes("former", "PermissionsNotGranted")
        eventually(lambda: shop.rights("former") == [])
