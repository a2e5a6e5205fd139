"""Golden policies: what one spec and its surroundings become. `UPDATE_GOLDEN=1 pytest ...` writes them anew."""

import ipaddress
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from apm_operator.manifests.agent import Surroundings
from apm_operator.manifests.networkpolicy import Target
from apm_operator.network import read
from apm_operator.reconcile.surroundings import Outlook
from unit.apm_operator.agents import plan

GOLDEN = Path(__file__).parent / "golden"
CLUSTER = read(
    json.dumps(
        {
            "dns": {
                "namespaceSelector": {},
                "podSelector": {"matchLabels": {"k8s-app": "dns"}},
                "cidrs": ["10.9.0.1/32"],
            },
            "scraper": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
            "operator": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "apm-system"}},
                "podSelector": {"matchLabels": {"app.kubernetes.io/name": "apm-operator"}},
            },
        }
    )
)
FULL = Surroundings(
    cluster=CLUSTER,
    callers=(("shop", "front-desk"), ("away", "scout"), ("shop", "clerk")),
    peers=(("shop", "bar"),),
    targets=(
        Target((27017,), "shop", (("app", "mongodb"),)),
        Target(("http",), "models", (("app", "llm"),)),
        Target((443,), cidrs=("192.0.2.7/32", "fd00::7/128")),
    ),
)
NETWORK = {
    "ingressFrom": [
        {"agent": "front-desk"},
        {"agent": "debugger", "ports": [9229]},
        {"namespaceSelector": {"matchLabels": {"team": "desk"}}},
        {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["till"]}]}},
        {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"], "ports": [8080, "53/UDP"]},
    ],
    "egressTo": [
        {"agent": "scout", "namespace": "away"},
        {"cidr": "198.51.100.0/24", "ports": [443]},
        {"namespaceSelector": {}, "podSelector": {}},
    ],
    "allowInternet": True,
}
CASES: dict[str, tuple[Surroundings, dict[str, Any]]] = {
    "closed": (Surroundings(cluster=read('{"dns": {"cidrs": []}}')), {}),
    "usual": (FULL, {}),
    "opened": (FULL, NETWORK),
}


def policy(surroundings: Surroundings, **network: Any) -> dict[str, Any]:
    return of_plan(surroundings, network=network)


def of_plan(surroundings: Surroundings, **spec: Any) -> dict[str, Any]:
    made = plan(outlook=Outlook(surroundings), **spec)
    return next(json.loads(each.body) for each in made.manifests if each.resource.kind == "NetworkPolicy")


@pytest.mark.parametrize("case", CASES)
def test_the_policy_is_as_in_the_golden_file(case: str):
    surroundings, network = CASES[case]
    text = yaml.safe_dump(policy(surroundings, **network)["spec"], sort_keys=True, width=110)
    file = GOLDEN / f"{case}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def test_no_rule_opens_everything():
    for surroundings, network in CASES.values():
        spec = policy(surroundings, **network)["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert all(rule["from"] for rule in spec["ingress"])
        assert all(rule["to"] for rule in spec["egress"])


def test_the_order_of_what_is_named_changes_nothing():
    turned = Surroundings(cluster=CLUSTER, callers=FULL.callers[::-1], peers=FULL.peers, targets=FULL.targets[::-1])
    assert policy(turned) == policy(FULL)


def test_the_internet_is_public_addresses_only():
    rules = policy(Surroundings(cluster=CLUSTER), allowInternet=True)["spec"]["egress"]
    blocks = [peer["ipBlock"] for rule in rules for peer in rule["to"] if "ports" not in rule]

    def opened(text: str) -> bool:
        address = ipaddress.ip_address(text)
        return any(
            address in ipaddress.ip_network(block["cidr"])
            and not any(address in ipaddress.ip_network(inner) for inner in block.get("except", ()))
            for block in blocks
        )

    private = ["10.0.0.1", "172.16.9.9", "192.168.1.1", "169.254.169.254", "100.64.0.1", "127.0.0.1", "224.0.0.1"]
    private += ["168.63.129.16"]  # where Azure gives its machines their secrets
    private += ["fd00:ec2::254", "fe80::1", "::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
    assert not [text for text in private if opened(text)]
    assert all(opened(text) for text in ("1.1.1.1", "93.184.216.34", "2606:4700::1111"))


def test_tokens_of_service_accounts_are_reviewed_by_the_operator():
    auth = {"serviceAccounts": {"allow": ["desk/*"]}}
    rules = of_plan(Surroundings(cluster=CLUSTER), auth=auth)["spec"]["egress"]
    assert {"to": CLUSTER.operator.peers(), "ports": [{"port": 8443, "protocol": "TCP"}]} in rules
    assert len(of_plan(Surroundings(cluster=CLUSTER))["spec"]["egress"]) == len(rules) - 1


def test_the_api_server_is_reached_by_agents_with_rights_alone():
    around = Surroundings(api_server=(("10.96.0.1/32", 443), ("192.0.2.1/32", 6443), ("192.0.2.2/32", 6443)))
    permission = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}
    rules = [
        {"to": [{"ipBlock": {"cidr": "10.96.0.1/32"}}], "ports": [{"port": 443, "protocol": "TCP"}]},
        {
            "to": [{"ipBlock": {"cidr": "192.0.2.1/32"}}, {"ipBlock": {"cidr": "192.0.2.2/32"}}],
            "ports": [{"port": 6443, "protocol": "TCP"}],
        },
    ]
    opened = of_plan(around, permissions=[permission])["spec"]["egress"]
    closed = of_plan(around)["spec"]["egress"]
    assert [rule for rule in opened if rule not in closed] == rules
