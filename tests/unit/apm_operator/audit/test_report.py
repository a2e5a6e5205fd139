"""What an audit says of a world that is written down beside this, as a table and as JSON.

`UPDATE_GOLDEN=1` writes the expected answers anew: read the difference before you commit it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from apm_operator.audit.accepted import ACCEPT, accepted
from apm_operator.audit.baseline import CHECKS
from apm_operator.audit.report import AgentReport, as_json, report
from apm_operator.audit.table import table
from apm_operator.audit.world import AgentWorld, Surroundings
from apm_operator.pki import certificates
from apm_operator.pki.certificates import Subject

GOLDEN = Path(__file__).parent / "golden"
NOW = 1_800_000_000.0
DAY = 86400.0
AUTHORITY = certificates.authority(NOW - 100 * DAY, 1000 * DAY)


def certificate(begin: float, life: float) -> bytes:
    return certificates.sign(AUTHORITY, Subject("spiffe://x", ("x",)), NOW + begin, life).certificate


CERTIFICATES = {"clerk": certificate(-10 * DAY, 90 * DAY)}


def in_namespace(items: list[Any], namespace: str) -> tuple[Any, ...]:
    return tuple(item for item in items if item["metadata"].get("namespace", namespace) == namespace)


def worlds() -> list[AgentWorld]:
    told = yaml.safe_load((GOLDEN / "world.yaml").read_text())
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
