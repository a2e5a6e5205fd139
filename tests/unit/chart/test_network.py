"""The operator's own fence, what it is told of the network, and the fences of agents' namespaces."""

import json
from typing import Any

import pytest

from apm_operator import network
from apm_operator.api.group import GROUP

AGENTS = {
    "namespaceSelector": {},
    "podSelector": {"matchExpressions": [{"key": f"{GROUP}/agent", "operator": "Exists"}]},
}
DNS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]


def test_the_operator_reads_what_the_chart_tells(render):
    told = network.read(setting(render("network.dns.cidrs={10.0.0.10/32}", "network.apiServer.port=443")))
    assert told.dns.cidrs == ("10.0.0.10/32",)
    assert told.dns.pod_selector == {"matchLabels": {"k8s-app": "kube-dns"}}
    assert told.api_server.port == 443
    assert told.scraper.peers() == []


def test_the_operator_is_told_who_asks_activators(render):
    assert network.read(setting(render())).keda == network.ClusterNetwork().keda
    told = network.read(setting(render("network.keda.podSelector.matchLabels.app=other"))).keda
    assert told.pod_selector == {"matchLabels": {"app": "other"}}
    assert told.namespace_selector == {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}
    assert network.read(setting(render("network.keda=null"))).keda == network.ClusterNetwork().keda


def test_agents_let_in_the_pods_of_the_operator(render):
    items = render()
    told = network.read(setting(items)).operator
    assert told.namespace_selector == {"matchLabels": {"kubernetes.io/metadata.name": "apm-system"}}
    assert told.pod_selector is not None
    wanted = told.pod_selector["matchLabels"].items()
    assert wanted <= one(items, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    assert one(items, "NetworkPolicy")["spec"]["podSelector"] == told.pod_selector


def test_the_operator_reaches_dns_the_api_server_and_agents(render):
    spec = one(render("network.apiServer.cidrs={192.0.2.1/32}"), "NetworkPolicy")["spec"]
    agents = [{"port": 8080, "protocol": "TCP"}, {"port": 8443, "protocol": "TCP"}]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [rule["ports"] for rule in spec["egress"]] == [DNS, [{"port": 6443, "protocol": "TCP"}], agents]
    assert spec["egress"][1]["to"] == [{"ipBlock": {"cidr": "192.0.2.1/32"}}]
    assert spec["egress"][2]["to"] == [AGENTS]
    assert spec["ingress"] == [{"from": [AGENTS], "ports": [{"port": 8443, "protocol": "TCP"}]}]


def test_an_api_server_at_an_unknown_address_is_reached_on_its_ports(render):
    (rule,) = [rule for rule in one(render(), "NetworkPolicy")["spec"]["egress"] if "to" not in rule]
    assert [port["port"] for port in rule["ports"]] == [443, 6443]


def test_the_scraper_is_let_in_where_it_is_named(render):
    spec = one(render("network.scraper.podSelector.matchLabels.app=prometheus"), "NetworkPolicy")["spec"]
    assert spec["ingress"][0] == {
        "from": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        "ports": [{"port": "http", "protocol": "TCP"}],
    }


def test_the_policy_can_be_left_out(render):
    assert [item for item in render("network.operatorPolicy=false") if item["kind"] == "NetworkPolicy"] == []


def test_a_namespace_for_agents(render):
    items = render(
        "agentNamespaces[0].name=agents",
        "agentNamespaces[0].create=true",
        "agentNamespaces[0].defaultDeny=true",
        "agentNamespaces[0].limitRange.max.memory=2Gi",
        "agentNamespaces[0].resourceQuota.pods=50",
    )
    own = {item["kind"]: item for item in items if item["metadata"].get("namespace") == "agents"}
    namespace = one(items, "Namespace")["metadata"]
    assert namespace["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert own["NetworkPolicy"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert own["LimitRange"]["spec"] == {"limits": [{"type": "Container", "max": {"memory": "2Gi"}}]}
    assert own["ResourceQuota"]["spec"] == {"hard": {"pods": 50}}


def test_a_namespace_that_exists_gets_what_is_asked_for_alone(render):
    items = render("agentNamespaces[0].name=agents", "agentNamespaces[0].defaultDeny=true")
    assert [item["kind"] for item in items if item["metadata"].get("namespace") == "agents"] == ["NetworkPolicy"]
    assert not [item for item in items if item["kind"] == "Namespace"]


def test_pod_security_can_be_another_or_none(render):
    made = ("agentNamespaces[0].name=agents", "agentNamespaces[0].create=true")
    for level, labels in (("baseline", 3), ("", 0)):
        found = one(render(*made, f"agentNamespaces[0].podSecurity={level}"), "Namespace")["metadata"]["labels"]
        values = [value for label, value in found.items() if label.startswith("pod-security")]
        assert values == [level] * labels


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("network.dns.cidrs={10.0.0.10}", "does not match pattern"),
        ("network.scraper.labels=x", "additional properties 'labels' not allowed"),
        ("network.apiServer.port=0", "minimum"),
        ("agentNamespaces[0].create=true", "missing property 'name'"),
        ("agentNamespaces[0].podSecurity=strict", "value must be one of"),
    ],
)
def test_the_schema_refuses(template, value, message):
    done = template(value)
    assert done.returncode != 0
    assert message in done.stderr


def one(items: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [item for item in items if item["kind"] == kind and item["metadata"].get("namespace") != "agents"]
    return found


def setting(items: list[dict[str, Any]]) -> str:
    """The value of APM_NETWORK."""
    env = one(items, "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]
    (value,) = [entry["value"] for entry in env if entry["name"] == "APM_NETWORK"]
    assert json.loads(value)
    return str(value)


def test_prometheus_is_reached_where_one_is_set(render):
    def rules(*values: str) -> list[dict[str, Any]]:
        egress = one(render(*values), "NetworkPolicy")["spec"]["egress"]
        return [rule for rule in egress if rule["ports"] == [{"port": 9090, "protocol": "TCP"}]]

    url = "anomalies.prometheus.url=http://prometheus.monitoring.svc"
    assert rules() == []
    assert [set(rule) for rule in rules(url)] == [{"ports"}]
    (rule,) = rules(url, "anomalies.prometheus.pods.podSelector.matchLabels.app=prometheus")
    assert rule["to"] == [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]
