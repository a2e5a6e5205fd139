"""What an audit says of a world that is written down beside this, as a table and as JSON.

`UPDATE_GOLDEN=1` writes the expected answers anew: read the difference before you commit it.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_runtime.spec.identity import agent_uri
from apm_operator.audit.accepted import ACCEPT, accepted
from apm_operator.audit.baseline import CHECKS
from apm_operator.audit.report import AgentReport, as_json, report
from apm_operator.audit.table import table
from apm_operator.audit.world import AgentWorld, Surroundings
from apm_operator.kinds import NETWORK_POLICIES, ROLE_BINDINGS, ROLES, Resource
from apm_operator.pki import certificates
from apm_operator.pki.certificates import Subject
from apm_operator.queue import Key
from fakes.applied import as_applied

GOLDEN = Path(__file__).parent / "golden"
NOW = 1_800_000_000.0
DAY = 86400.0
AUTHORITY = certificates.authority(NOW - 100 * DAY, 1000 * DAY)


def certificate(begin: float, life: float, uri: str = agent_uri("shop", "clerk")) -> bytes:
    return certificates.sign(AUTHORITY, Subject(uri, ("x",)), NOW + begin, life).certificate


CERTIFICATES = {"clerk": certificate(-10 * DAY, 90 * DAY)}


def in_namespace(items: list[Any], namespace: str) -> tuple[Any, ...]:
    return tuple(item for item in items if item["metadata"].get("namespace", namespace) == namespace)


def made(resource: Resource, items: list[Any], agents: list[Any]) -> list[Any]:
    """The items, with those that the operator has made for agents as it leaves them."""
    by_key = {Key(each["metadata"]["namespace"], each["metadata"]["name"]): each["metadata"]["uid"] for each in agents}
    found = []
    for item in items:
        key = Key(item["metadata"].get("namespace", ""), item["metadata"]["name"])
        found.append(as_applied(resource, item, key, by_key[key]) if key in by_key else item)
    return found


def worlds() -> list[AgentWorld]:
    told = yaml.safe_load((GOLDEN / "world.yaml").read_text())
    for kind, resource in (("policies", NETWORK_POLICIES), ("bindings", ROLE_BINDINGS), ("roles", ROLES)):
        told[kind] = made(resource, told[kind], told["agents"])
    found = []
    for agent in told["agents"]:
        namespace, name = agent["metadata"]["namespace"], agent["metadata"]["name"]
        around = Surroundings(
            next(each for each in told["namespaces"] if each["metadata"]["name"] == namespace),
            in_namespace(told["policies"], namespace),
            in_namespace(told["bindings"], namespace),
            in_namespace(told["roles"], namespace),
        )
        found.append(AgentWorld(agent, around, CERTIFICATES.get(name), told["callers"].get(name)))
    return found


def reports() -> list[AgentReport]:
    return [report(world, NOW) for world in worlds()]


@pytest.mark.parametrize(
    ("file", "text"),
    [("report.txt", table(reports())), ("report.json", json.dumps(as_json(reports(), NOW), indent=2) + "\n")],
)
def test_the_report_is_as_in_the_golden_file(file, text):
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / file).write_text(text)
    assert text == (GOLDEN / file).read_text()


def of_clerk(kind: str, change: Callable[[Any], None]) -> AgentReport:
    """What is told of an agent as it should be, of which one thing was changed."""
    world = copy.deepcopy(worlds()[0])
    mine = [each for each in getattr(world.around, kind) if each["metadata"]["name"] == "clerk"]
    change(mine[0])
    return report(world, NOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda policy: policy["spec"]["egress"].append({}),
        lambda policy: policy["spec"]["egress"].append({"ports": [{"port": 443}]}),
        lambda policy: policy["spec"]["ingress"][0].pop("from"),
        lambda policy: policy["spec"]["ingress"][0]["from"].append({"podSelector": {}}),
        lambda policy: policy["metadata"].pop("annotations"),
    ],
    ids=["everywhere", "everywhere on a port", "everybody", "a neighbour", "no mark"],
)
def test_a_policy_of_its_own_that_somebody_changed_is_a_deviation(change):
    told = {one.id: one.message for one in of_clerk("policies", change).deviations}
    assert told["policy-beyond-resource"] == "NetworkPolicy clerk is not as the operator has written it"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("roles", lambda role: role["rules"].append({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]})),
        ("bindings", lambda binding: binding["roleRef"].update(name="view-secrets", kind="ClusterRole")),
        ("bindings", lambda binding: binding["metadata"]["annotations"].clear()),
    ],
    ids=["another rule", "another role", "no mark"],
)
def test_rights_that_somebody_changed_are_not_those_of_the_resource(kind, change):
    told = [one.message for one in of_clerk(kind, change).deviations if one.id == "rights-beyond-resource"]
    assert any(message.startswith("RoleBinding clerk gives it rights") for message in told)


@pytest.mark.parametrize(
    "subject",
    [
        {"kind": "User", "name": "system:serviceaccount:shop:clerk"},
        {"kind": "Group", "name": "system:authenticated"},
        {"kind": "Group", "name": "system:serviceaccounts"},
    ],
    ids=lambda subject: subject["name"],
)
def test_rights_by_another_name_of_the_service_account_are_found(subject):
    def bind(binding: Any) -> None:
        binding["metadata"] = {"name": "everybody"}
        binding["roleRef"] = {"kind": "ClusterRole", "name": "view-secrets"}
        binding["subjects"] = [subject]

    assert ("everybody", ("get", "list")) in {
        (right.binding.removeprefix("ClusterRoleBinding "), right.verbs) for right in of_clerk("bindings", bind).rights
    }


def test_bindings_of_every_cluster_are_left_out_as_long_as_they_are_what_they_were():
    def bind(name: str, role: str) -> Callable[[Any], None]:
        return lambda binding: binding.update(
            metadata={"name": name},
            roleRef={"kind": "ClusterRole", "name": role},
            subjects=[{"kind": "Group", "name": "system:authenticated"}],
        )

    usual = of_clerk("bindings", bind("system:basic-user", "system:basic-user"))
    turned = of_clerk("bindings", bind("system:basic-user", "view-secrets"))
    assert len(turned.rights) == len(usual.rights) + 1


def test_the_certificate_of_another_agent_is_a_deviation():
    world = worlds()[0]
    foreign = certificate(-DAY, 90 * DAY, agent_uri("shop", "loose"))
    told = report(AgentWorld(world.agent, world.around, foreign), NOW).deviations
    assert (
        "names spiffe://apm.valeo-neuroerp.com/ns/shop/agent/loose"
        in {one.id: one.message for one in told}["certificate"]
    )


def test_a_password_in_the_url_of_a_variable_is_a_secret_in_the_resource():
    world = copy.deepcopy(worlds()[0])
    world.agent["spec"]["env"].append({"name": "BROKER", "value": "amqp://shop:hunter2@mq.shop.svc/"})  # type: ignore[index]
    told = [one.message for one in report(world, NOW).deviations if one.id == "secret-in-env"]
    assert told == ["the variable BROKER holds its value in the resource"]


def test_every_check_finds_something():
    found = {deviation.id for each in reports() for deviation in each.deviations}
    assert {check.id for check in CHECKS} == found


def test_an_agent_as_it_should_be_has_one_deviation_that_others_made():
    clerk = reports()[0]
    assert {deviation.id for deviation in clerk.deviations} == {"rights-secrets", "rights-beyond-resource"}


@pytest.mark.parametrize(
    ("begin", "life", "message"),
    [
        (-10, 90, None),
        (-70, 90, None),
        (-80, 90, "ends in 10 days and should have been renewed"),
        (-91, 90, "has ended"),
    ],
)
def test_a_certificate_is_judged_by_its_life(begin, life, message):
    world = AgentWorld(worlds()[0].agent, worlds()[0].around, certificate(begin * DAY, life * DAY))
    told = [one.message for one in report(world, NOW).deviations if one.id == "certificate"]
    assert len(told) == (message is not None)
    assert message is None or message in told[0]


@pytest.mark.parametrize("text", [None, b"no certificate"])
def test_no_certificate_is_a_deviation(text):
    world = AgentWorld(worlds()[0].agent, worlds()[0].around, text)
    assert "certificate" in {one.id for one in report(world, NOW).deviations}


def test_what_can_not_be_read_is_told_and_not_judged():
    agent = worlds()[0].agent
    hidden = frozenset({"Namespace", "NetworkPolicy", "Secret", "RoleBinding"})
    told = report(AgentWorld(agent, Surroundings(hidden=hidden), hidden=hidden), NOW)
    assert told.hidden == ("Namespace", "NetworkPolicy", "RoleBinding", "Secret")
    assert told.deviations == ()


def test_a_condition_tells_of_a_certificate_that_can_not_be_read():
    condition = {"type": "CertificateReady", "status": "False", "reason": "Expiring", "message": "it ends soon"}
    agent = {**worlds()[0].agent, "status": {"conditions": [condition]}}
    hidden = frozenset({"Secret"})
    told = report(AgentWorld(agent, worlds()[0].around, hidden=hidden), NOW)
    assert ("certificate", "it ends soon") in {(one.id, one.message) for one in told.deviations}


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("", {}),
        ("internet: the newsletter", {"internet": "the newsletter"}),
        ("a: b: c; d : e\nf: g;", {"a": "b: c", "d": "e", "f": "g"}),
        ("internet; anonymous:; : why", {}),
    ],
)
def test_a_deviation_is_accepted_with_a_reason(text, reasons):
    assert accepted({ACCEPT: text}) == reasons


def test_nothing_that_moves_a_terminal_is_printed():
    assert "\x1b" not in table(reports())
