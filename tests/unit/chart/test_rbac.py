"""The operator's rights are those that docs/rbac.md explains, and no others."""

import re
from collections.abc import Iterable
from typing import Any

import pytest

from cluster.settings import REPOSITORY

Right = tuple[str, str, str]

GROUP = "apm.valeo-neuroerp.com"
AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"


def test_an_operator_of_the_whole_cluster(render):
    items = render("secrets.namespaces={shop}")
    everywhere = documented("In the namespaces that it watches") | documented("Tokens")
    assert rights(find(items, "ClusterRole", "apm-operator")) == everywhere
    assert rights(find(items, "ClusterRole", "apm-operator-secrets")) == documented("Secrets")
    assert bound(items, "apm-operator-secrets") == [("RoleBinding", "shop")]
    assert bound(items, "apm-operator") == [("ClusterRoleBinding", None)]


def test_secrets_of_all_namespaces_by_an_explicit_value(render):
    assert bound(render("secrets.allNamespaces=true"), "apm-operator-secrets") == [("ClusterRoleBinding", None)]
    assert bound(render(), "apm-operator-secrets") == []


def test_an_operator_of_some_namespaces(render):
    items = render("watchNamespaces={shop,desk}", "rbac.aggregate=false")
    expected = documented("In the namespaces that it watches") | documented("Secrets")
    assert not [item for item in items if item["kind"].startswith("ClusterRole")]
    assert bound(items, "apm-operator") == [("RoleBinding", "shop"), ("RoleBinding", "desk")]
    for namespace in ("shop", "desk"):
        assert rights(find(items, "Role", "apm-operator", namespace)) == expected


def test_an_operator_of_some_namespaces_may_find_the_api_server(render):
    role = find(render("watchNamespaces={shop}"), "Role", "apm-operator-api-server", "default")
    assert rights(role) == documented("The API server's addresses")
    assert [rule.get("resourceNames") for rule in role["rules"]] == [["kubernetes"], None]


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("watchNamespaces={shop}", "network.apiServer.cidrs={192.0.2.1/32}"),
        ("watchNamespaces={shop}", "network.apiServer.role=false"),
    ],
)
def test_no_right_in_the_namespace_default_that_is_not_needed(render, values):
    assert [item for item in render("tests.enabled=false", *values) if at_default(item)] == []


def at_default(item: dict[str, Any]) -> bool:
    return item["metadata"].get("namespace") == "default"


def test_the_lease(render):
    items = render()
    role = find(items, "Role", "apm-operator-leader", "apm-system")
    assert rights(role) == documented("In its own namespace")
    named = [rule for rule in role["rules"] if rule["verbs"] != ["create"]]
    assert [rule["resourceNames"] for rule in named] == [["apm-operator"]]


def test_two_releases_in_one_namespace_have_a_lease_each(render):
    items = render("fullnameOverride=second")
    role = find(items, "Role", "second-leader", "apm-system")
    env = find(items, "Deployment", "second", "apm-system")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "APM_NAME", "value": "second"} in env
    assert [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule] == [["second"]]


def test_the_secrets_of_the_operator_itself(render):
    role = find(render(), "Role", "apm-operator-certificates", "apm-system")
    assert rights(role) == documented("Its own certificates")
    assert [rule["resourceNames"] for rule in role["rules"]] == [
        ["apm-operator-ca", "apm-operator-tls", "apm-scraper-tls"]
    ]


def test_tokens_are_reviewed_by_an_operator_of_some_namespaces_only_where_that_is_asked_for(render):
    items = render("watchNamespaces={shop}", "rbac.aggregate=false", "tokenReviews.clusterRole=true")
    assert rights(find(items, "ClusterRole", "apm-operator-token-reviews")) == documented("Tokens")
    assert [item["metadata"]["name"] for item in items if item["kind"] == "ClusterRole"] == [
        "apm-operator-token-reviews"
    ]


def test_cert_manager_is_asked_only_where_that_is_wanted(render):
    asked = rights(find(render("certificates.certManager=true"), "ClusterRole", "apm-operator"))
    assert asked - rights(find(render(), "ClusterRole", "apm-operator")) == documented("cert-manager")


def test_keda_is_asked_only_where_that_is_wanted(render):
    asked = rights(find(render("autoscaling.keda=true"), "ClusterRole", "apm-operator"))
    assert asked - rights(find(render(), "ClusterRole", "apm-operator")) == documented("KEDA")


def test_without_an_election_there_is_no_right_to_leases(render):
    assert not [item for item in render("leaderElection=false") if "leader" in item["metadata"]["name"]]


def test_grants_to_agents(render):
    listed = 'permissions.grantable=[{"apiGroups":[""],"resources":["configmaps"],"verbs":["get"]}]'
    usual = documented("In the namespaces that it watches") | documented("Tokens")
    items = render(json=listed)
    assert rights(find(items, "ClusterRole", "apm-operator")) == usual
    assert rights(find(items, "ClusterRole", "apm-operator-grantable")) == {("", "configmaps", "get")}
    assert bound(items, "apm-operator-grantable") == [("ClusterRoleBinding", None)]
    items = render("watchNamespaces={shop,desk}", json=listed)
    assert bound(items, "apm-operator-grantable") == [("RoleBinding", "shop"), ("RoleBinding", "desk")]
    assert usual - documented("Tokens") <= rights(find(items, "Role", "apm-operator", "shop"))


def test_roles_for_people(render):
    """Each of the cluster's own roles holds what the one before it does."""
    items = render()
    view, edit, admin = (
        {right for item in items if label in item["metadata"].get("labels", {}) for right in rights(item)}
        for label in (f"{AGGREGATE}{name}" for name in ("view", "edit", "admin"))
    )
    kinds = {"agentdeployments", "backuppolicies", "backups", "restores", "agentreports"}
    readable = kinds | {f"{kind}/status" for kind in kinds} | {"agentdeployments/scale"}
    assert view == {(GROUP, kind, verb) for kind in readable for verb in ("get", "list", "watch")}
    writes = ("create", "update", "patch", "delete", "deletecollection")
    assert edit - view == {(GROUP, kind, verb) for kind in kinds - {"restores"} for verb in writes} | {
        (GROUP, "agentdeployments/scale", verb) for verb in ("update", "patch")
    }
    assert admin - edit == {(GROUP, "restores", verb) for verb in writes}


def test_no_rule_holds_a_wildcard(render):
    for values in ((), ("watchNamespaces={shop}",)):
        for item in render(*values):
            for rule in item.get("rules", ()):
                assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]


def test_every_binding_is_to_the_operator_itself(render):
    for item in render("secrets.namespaces={shop}", "tests.enabled=false"):
        if item["kind"].endswith("RoleBinding"):
            assert item["subjects"] == [{"kind": "ServiceAccount", "name": "apm-operator", "namespace": "apm-system"}]


def rights(role: dict[str, Any]) -> set[Right]:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def documented(section: str) -> set[Right]:
    """The rights in the table below a heading of docs/rbac.md: group, resources, verbs, reason."""
    text = (REPOSITORY / "docs" / "rbac.md").read_text()
    body = text.split(f"## {section}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]*)` \| ([^|]*) \| ([^|]*) \|", body, re.MULTILINE)
    assert rows, f"docs/rbac.md has no table below {section!r}"
    return {
        ("" if group == "core" else group, resource, verb)
        for group, resources, verbs in rows
        for resource in words(resources)
        for verb in words(verbs)
    }


def words(cell: str) -> Iterable[str]:
    return [word.strip(" `") for word in cell.split(",")]


def find(items: list[dict[str, Any]], kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    (item,) = [
        item
        for item in items
        if (item["kind"], item["metadata"]["name"]) == (kind, name) and item["metadata"].get("namespace") == namespace
    ]
    return item


def bound(items: list[dict[str, Any]], role: str) -> list[tuple[str, str | None]]:
    return [
        (item["kind"], item["metadata"].get("namespace"))
        for item in items
        if item["kind"].endswith("Binding")
        and item["roleRef"]["name"] == role
        and "helm.sh/hook" not in item["metadata"].get("annotations", {})
    ]
