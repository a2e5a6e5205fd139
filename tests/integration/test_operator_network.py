"""Network policies on a real API server: what it takes, who is woken by whom, and that a restart writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.controlplane import ControlPlane
from integration.operators import Operator, eventually, operator
from integration.shop import Shop

ASKING = {"start": "ask", "nodes": [{"name": "ask", "uses": "agent", "with": {"ref": "bar"}}]}
EVERYTHING = {
    "allowInternet": True,
    "ingressFrom": [
        {"agent": "scout", "namespace": "away", "ports": [8080]},
        {
            "namespaceSelector": {},
            "podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
        },
        {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]},
    ],
    "egressTo": [{"cidr": "0.0.0.0/0", "ports": ["53/UDP", 443]}, {"cidr": "fd00::/64"}, {"podSelector": {}}],
}


class PolicySpace(Shop):
    """With what these tests ask of it."""

    def policy(self, name: str) -> dict[str, Any]:
        spec: dict[str, Any] = self.get("networkpolicy", name).get("spec", {})
        return spec

    def callers(self, name: str) -> list[str]:
        """The agents of its namespace that its policy lets in."""
        peers = [peer for rule in self.policy(name).get("ingress", ()) for peer in rule["from"]]
        return [
            each
            for peer in peers
            if peer.keys() == {"podSelector"}
            for each in peer["podSelector"]["matchExpressions"][0]["values"]
        ]

    def network(self, name: str) -> dict[str, str]:
        """The condition NetworkReady."""
        conditions = json.loads(self.kubectl("get", "agent", name, "--output=json")).get("status", {}).get("conditions")
        return next((c for c in conditions or () if c["type"] == "NetworkReady"), {})


@pytest.fixture
def shop(control_plane: ControlPlane, namespace: str) -> PolicySpace:
    return PolicySpace(control_plane, namespace)


@pytest.fixture
def running(shop: PolicySpace, tmp_path: Path) -> Iterator[Operator]:
    with operator(shop.plane.kubeconfig, shop.namespace, tmp_path / "log") as started:
        started.ready()
        yield started


def policies_written(started: Operator) -> int:
    return started.calls().get(("apply", "NetworkPolicy"), 0)


def test_who_begins_and_ceases_to_call_changes_the_callers(shop: PolicySpace, running: Operator):
    shop.agent("bar")
    eventually("a policy", lambda: shop.policy("bar"))
    assert shop.callers("bar") == []
    shop.agent("desk", workflow=ASKING)
    eventually("desk is let in", lambda: shop.callers("bar") == ["desk"])
    shop.agent("door", workflow=ASKING)
    eventually("both are let in", lambda: shop.callers("bar") == ["desk", "door"])
    shop.agent("desk")
    eventually("desk is shut out", lambda: shop.callers("bar") == ["door"])
    shop.kubectl("delete", "agent", "door")
    eventually("nobody is let in", lambda: shop.callers("bar") == [])
    running.idle()


def test_a_restart_writes_nothing(shop: PolicySpace, running: Operator, tmp_path: Path):
    """Whoever is listed first, its policy is not made before all callers are known."""
    ports = [{"port": 80, "targetPort": "http"}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "llm"}}
    shop.apply(service | {"spec": {"selector": {"app": "llm"}, "ports": ports}})
    model = {"name": "default", "provider": "openai", "model": "m", "baseURL": "http://llm/v1"}
    shop.agent("bar", network=EVERYTHING)
    for name in ("able", "desk", "zoe"):
        shop.agent(name, workflow=ASKING)
    shop.agent("model", models=[model])
    eventually("all are let in", lambda: shop.callers("bar") == ["able", "desk", "zoe"])
    eventually("the model's pods are known", lambda: shop.network("model").get("status") == "True")
    running.idle()
    running.end()
    with operator(shop.plane.kubeconfig, shop.namespace, tmp_path / "second") as second:
        second.idle()
        eventually("every agent was looked at", lambda: second.metric("apm_reconciles_total") >= 5)
        assert second.calls() == {}


def test_the_api_server_takes_every_rule_as_it_is_written(shop: PolicySpace, running: Operator):
    """What it writes in another way would be applied in each pass."""
    shop.agent("bar", network=EVERYTHING)
    eventually("a policy", lambda: shop.policy("bar"))
    running.idle()
    shop.kubectl("annotate", "agent", "bar", "apm.valeo-neuroerp.com/reconcile-at=1")
    shop.kubectl("annotate", "networkpolicy", "bar", "note=mine")
    running.idle()
    assert policies_written(running) == 1
    shop.kubectl("patch", "networkpolicy", "bar", "--type=merge", '--patch={"spec":{"ingress":[{}]}}')
    eventually("repaired", lambda: {} not in shop.policy("bar")["ingress"])
    running.idle()


def test_a_service_is_missed_found_and_followed(shop: PolicySpace, running: Operator):
    model = {"name": "default", "provider": "openai", "model": "m", "baseURL": "http://llm:8000/v1"}
    shop.agent("desk", models=[model])
    eventually("the Service is missed", lambda: shop.network("desk").get("reason") == "TargetsUnknown")
    assert f"Service llm in namespace {shop.namespace} does not exist" in shop.network("desk")["message"]
    eventually(
        "an Event", lambda: shop.kubectl("get", "events", "--field-selector=reason=TargetsUnknown", "--output=name")
    )
    shop.kubectl("create", "service", "clusterip", "llm", "--tcp=8000:9000")
    eventually("it is found", lambda: shop.network("desk").get("reason") == "TargetsKnown")

    def opened() -> set[int]:
        return {port["port"] for rule in shop.policy("desk")["egress"] for port in rule["ports"]}

    assert 9000 in opened()
    shop.kubectl("patch", "service", "llm", '--patch={"spec":{"ports":[{"port":8000,"targetPort":9001}]}}')
    eventually("it is followed", lambda: {9000, 9001} & opened() == {9001})
    running.idle()


def test_a_public_name_is_told_until_the_spec_opens_a_block(shop: PolicySpace, running: Operator):
    model = {"name": "default", "provider": "openai", "model": "m", "baseURL": "https://api.example.com/v1"}
    shop.agent("desk", models=[model])
    eventually("it is told", lambda: shop.network("desk").get("reason") == "TargetsUnknown")
    assert "api.example.com is no Service" in shop.network("desk")["message"]
    shop.agent("desk", models=[model], network={"egressTo": [{"cidr": "198.51.100.0/24", "ports": [443]}]})
    eventually("it is settled", lambda: shop.network("desk").get("reason") == "TargetsKnown")
    running.idle()
