"""What stands in for an agent that may sleep, and its fence: as tight as without it."""

import json
from typing import Any

import pytest

from apm_operator.kinds import ACTIVATOR_LABEL, AGENT_LABEL, REACHED_LABEL
from apm_operator.manifests import activator
from apm_operator.manifests.agent import Surroundings
from apm_operator.manifests.networkpolicy import Target
from apm_operator.network import read
from apm_operator.reconcile.surroundings import Outlook
from unit.apm_operator.agents import plan
from unit.apm_operator.manifests.test_networkpolicy import CLUSTER, NETWORK

STATE = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}}
SLEEPS = {"minReplicas": 0, "maxReplicas": 8, "targetQueueDepth": 5}
AROUND = Surroundings(
    cluster=CLUSTER,
    callers=(("shop", "front-desk"), ("away", "scout")),
    peers=(("shop", "bar"),),
    targets=(Target((27017,), "shop", (("app", "mongodb"),)),),
    keda=True,
)
OWN = {"port": 8080, "protocol": "TCP"}
STATUS = {"port": 8081, "protocol": "TCP"}
Rule = dict[str, Any]


def made(outlook: Surroundings = AROUND, **spec: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """The children by kind and name."""
    found = plan(outlook=Outlook(outlook), **{"state": STATE, "autoscaling": SLEEPS, **spec})
    return {(each.resource.kind, each.name): json.loads(each.body) for each in found.manifests}


def ways(policy: dict[str, Any], direction: str) -> set[tuple[str, str]]:
    """Each peer with each port, as text."""
    field = {"ingress": "from", "egress": "to"}[direction]
    rules: list[Rule] = policy["spec"][direction]
    return {
        (json.dumps(peer, sort_keys=True), json.dumps(port, sort_keys=True))
        for rule in rules
        for peer in rule[field]
        for port in rule.get("ports", ["all"])
    }


def text(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("network", [{}, NETWORK], ids=["usual", "opened"])
def test_the_same_may_reach_the_agent_by_its_activator_as_without_one(network: dict[str, Any]):
    awake = made(network=network, autoscaling=SLEEPS | {"minReplicas": 1})["NetworkPolicy", "one"]
    asleep = made(network=network)
    before = ways(awake, "ingress")
    known = {text(each) for each in (*CLUSTER.operator.peers(), *CLUSTER.scraper.peers())}
    to_agent = {(peer, port) for peer, port in before if port == text(OWN) and peer not in known}
    assert to_agent, "there is somebody to let in"

    fence = ways(asleep["NetworkPolicy", "one-activator"], "ingress")
    assert {(peer, port) for peer, port in fence if port == text(OWN)} == to_agent
    assert {peer for peer, port in fence if port != text(OWN)} == {
        text(each) for each in (*CLUSTER.keda.peers(), *CLUSTER.scraper.peers())
    }
    assert {port for _, port in fence} == {text(OWN), text(STATUS)}

    added = ways(asleep["NetworkPolicy", "one"], "ingress") - before
    assert added == {(text({"podSelector": {"matchLabels": {ACTIVATOR_LABEL: "one"}}}), text(OWN))}
    assert before <= ways(asleep["NetworkPolicy", "one"], "ingress")
    assert ways(asleep["NetworkPolicy", "one"], "egress") == ways(awake, "egress")


def test_an_activator_reaches_its_agent_and_dns_alone():
    policy = made()["NetworkPolicy", "one-activator"]
    assert policy["spec"]["podSelector"] == {"matchLabels": {ACTIVATOR_LABEL: "one"}}
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    agent, dns = sorted(policy["spec"]["egress"], key=lambda rule: len(rule["ports"]))
    assert agent == {"to": [{"podSelector": {"matchLabels": {AGENT_LABEL: "one"}}}], "ports": [OWN]}
    assert {port["port"] for port in dns["ports"]} == {53}


def test_a_port_that_is_not_the_agents_is_not_opened():
    network = {
        "ingressFrom": [{"podSelector": {}, "ports": [9229]}, {"agent": "debugger", "ports": [9229, "8080/UDP"]}]
    }
    around = Surroundings(cluster=read('{"keda": {}}'), keda=True)
    assert made(around, network=network)["NetworkPolicy", "one-activator"]["spec"]["ingress"] == []


def test_the_pod_is_behind_the_agents_service_and_is_none_of_its_own():
    children = made()
    pod = children["Deployment", "one-activator"]["spec"]["template"]
    own = children["Deployment", "one"]["spec"]["template"]
    behind = children["Service", "one"]["spec"]["selector"]
    assert behind == {REACHED_LABEL: "one"}
    assert behind.items() <= pod["metadata"]["labels"].items()
    assert behind.items() <= own["metadata"]["labels"].items()
    assert AGENT_LABEL not in pod["metadata"]["labels"]
    assert ACTIVATOR_LABEL not in own["metadata"]["labels"]
    assert children["Service", "one-awake"]["spec"]["selector"] == {AGENT_LABEL: "one"}
    named = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    assert children["Service", "one"]["spec"]["ports"][0]["targetPort"] in named


def test_it_has_no_rights_and_no_secrets():
    pod = made(auth={"apiKeys": {"secretRef": {"name": "keys"}}})["Deployment", "one-activator"]["spec"]["template"]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod["spec"]
    assert "volumes" not in pod["spec"]
    assert {"valueFrom", "secretRef"}.isdisjoint(key for each in pod["spec"]["containers"][0]["env"] for key in each)


@pytest.mark.parametrize(
    ("spec", "around"),
    [
        ({"autoscaling": SLEEPS | {"minReplicas": 1}}, AROUND),
        ({"autoscaling": SLEEPS}, Surroundings(cluster=CLUSTER)),
        ({"replicas": 0}, AROUND),
        ({"autoscaling": None}, AROUND),
    ],
    ids=["always a pod", "no KEDA", "stopped", "no autoscaling"],
)
def test_there_is_none_where_the_agent_does_not_sleep(spec: dict[str, Any], around: Surroundings):
    children = made(around, **spec)
    assert not {"one-activator", "one-awake"} & {name for _, name in children}
    assert children["Service", "one"]["spec"]["selector"] == {AGENT_LABEL: "one"}
    assert REACHED_LABEL not in children["Deployment", "one"]["spec"]["template"]["metadata"]["labels"]


def test_callers_may_reach_the_activator_of_those_that_sleep_alone():
    around = Surroundings(
        cluster=CLUSTER,
        peers=(("shop", "bar"), ("shop", "till")),
        sleeping=(("away", "scout"), ("shop", "bar")),
    )
    network = {"egressTo": [{"agent": "scout", "namespace": "away", "ports": [8443]}]}
    found = plan(outlook=Outlook(around), network=network)
    policy = next(json.loads(each.body) for each in found.manifests if each.resource.kind == "NetworkPolicy")
    named = [
        (peer["podSelector"]["matchExpressions"][0]["values"], peer.get("namespaceSelector"), rule["ports"])
        for rule in policy["spec"]["egress"]
        for peer in rule["to"]
        if (peer.get("podSelector") or {}).get("matchExpressions", [{}])[0].get("key") == ACTIVATOR_LABEL
    ]
    elsewhere = {"matchLabels": {"kubernetes.io/metadata.name": "away"}}
    assert named == [
        (["scout"], elsewhere, [{"port": 8443, "protocol": "TCP"}]),
        (["bar"], None, [{"port": 8443, "protocol": "TCP"}]),
    ]


def test_long_names_are_cut_and_stay_different():
    long = "a" * 63
    found = {made(long) for made in (activator.name, activator.awake)}
    found |= {activator.name("a" * 62 + "b"), activator.name("bar"), activator.awake("bar")}
    assert len(found) == 5
    assert all(len(each) <= 63 for each in found)
    assert {"bar-activator", "bar-awake"} <= found
