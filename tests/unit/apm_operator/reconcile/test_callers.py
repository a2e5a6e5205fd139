"""Who may call whom."""

from typing import Any

import pytest

from apm_operator.kinds import AGENTS
from apm_operator.queue import Key
from apm_operator.reconcile.cache import Cache
from apm_operator.reconcile.callers import CallIndex, Links, links
from unit.apm_operator.agents import WORKFLOW, body

DESK, BAR, FAR = Key("shop", "desk"), Key("shop", "bar"), Key("far", "away")


def asking(*names: str) -> dict[str, Any]:
    """A workflow that asks these agents."""
    nodes = [{"name": f"ask-{name}", "uses": "agent", "with": {"ref": name}} for name in names]
    return {"start": nodes[0]["name"], "nodes": nodes}


def test_a_workflow_its_sub_workflows_and_egress_name_agents():
    spec = {
        "workflow": asking("desk"),
        "workflows": [{"name": "sub", **asking("bar")}, WORKFLOW],
        "network": {
            "egressTo": [{"agent": "away", "namespace": "far"}, {"agent": "till"}, {"cidr": "10.0.0.0/8"}],
            "ingressFrom": [{"agent": "door"}, {"podSelector": {}}],
        },
    }
    found = links("shop", spec)
    assert found.asks == {DESK, BAR}
    assert found.reaches == {DESK, BAR, FAR, Key("shop", "till")}
    assert found.admits == {Key("shop", "door")}


@pytest.mark.parametrize(
    "spec",
    [
        None,
        "text",
        {"workflow": [], "workflows": {}, "network": 3},
        {"workflow": {"nodes": [None, 1, {"uses": "agent"}, {"uses": "agent", "with": {"ref": 7}}]}},
        {"events": {"sinks": [None, "desk", {"agent": 7}, {"agent": ["desk"]}]}},
        {"events": {"sinks": {"agent": "desk"}}},
        {"workflow": {"nodes": [{"uses": "model", "with": {"ref": "desk"}}]}, "network": {"egressTo": ["desk"]}},
    ],
)
def test_a_spec_that_is_wrong_names_nobody(spec: object):
    assert links("shop", spec) == Links()


def test_those_that_call_an_agent_are_told_when_it_may_sleep_and_when_it_may_not():
    calls = CallIndex()
    calls.put(DESK, links("shop", {"workflow": asking("bar")}))
    calls.put(FAR, links("far", {"network": {"egressTo": [{"agent": "bar", "namespace": "shop"}]}}))
    awake = {"autoscaling": {"minReplicas": 1, "maxReplicas": 2, "targetQueueDepth": 1}}
    assert not calls.put(BAR, links("shop", awake))
    asleep = {"autoscaling": {**awake["autoscaling"], "minReplicas": 0}}
    assert calls.put(BAR, links("shop", asleep)) == {DESK, FAR}
    assert calls.sleeps(BAR)
    assert calls.put(BAR, links("shop", {"autoscaling": None})) == {DESK, FAR}
    assert not calls.sleeps(BAR)


def test_a_sink_is_let_in_by_the_agent_that_it_pushes_to():
    calls = CallIndex()
    spec = {"events": {"sinks": [{"name": "bar", "agent": "bar"}, {"name": "out", "url": "https://hooks.example"}]}}
    to_bar = frozenset({BAR})
    assert links("shop", spec) == Links(to_bar, to_bar, floods=to_bar, pushes=frozenset({(BAR, "bar")}))
    assert calls.put(DESK, links("shop", spec)) == {BAR}
    assert calls.callers(BAR) == (DESK,)
    assert calls.put(DESK, links("shop", {"events": {"sinks": []}})) == {BAR}
    assert calls.callers(BAR) == ()


def pushing(*names: str, **sink: str) -> dict[str, Any]:
    """Sinks to these agents."""
    return {"events": {"sinks": [{"name": f"to-{name}", "agent": name, **sink} for name in names]}}


def test_events_that_go_round_in_a_circle_are_seen_from_every_agent_of_it():
    calls, till = CallIndex(), Key("shop", "till")
    calls.put(DESK, links("shop", pushing("bar", "store")))
    calls.put(BAR, links("shop", pushing("till")))
    assert calls.loop(DESK) == ()
    assert calls.put(till, links("shop", pushing("desk"))) == {DESK}, "that one is looked at again"
    assert calls.loop(DESK) == (DESK, BAR, till, DESK)
    assert calls.loop(till) == (till, DESK, BAR, till)
    assert calls.loop(Key("shop", "store")) == ()
    calls.put(till, links("shop", pushing("desk", type="order.*")))
    assert calls.loop(DESK) == ()
    calls.put(till, links("shop", pushing("till", type="*")))
    assert calls.loop(till) == (till, till)
    assert calls.loop(DESK) == ()


def test_to_be_named_in_egress_alone_lets_nobody_in():
    calls = CallIndex()
    assert calls.put(BAR, links("shop", {"network": {"egressTo": [{"agent": "desk"}]}})) == frozenset()
    assert calls.callers(DESK) == ()
    assert calls.reached_by(DESK) == (BAR,)
    assert calls.put(DESK, links("shop", {"network": {"ingressFrom": [{"agent": "bar"}]}})) == {DESK}
    assert calls.callers(DESK) == (BAR,)


def test_an_agent_of_another_namespace_has_to_be_let_in():
    calls = CallIndex()
    calls.put(FAR, links("far", {"workflow": asking("desk")}))
    assert calls.callers(DESK) == ()
    calls.put(DESK, links("shop", {"network": {"ingressFrom": [{"agent": "away", "namespace": "far"}]}}))
    assert calls.callers(DESK) == (FAR,)


def test_a_change_concerns_those_whose_callers_it_changes():
    calls = CallIndex()
    assert calls.put(Key("shop", "one"), links("shop", {"workflow": asking("desk", "bar")})) == {DESK, BAR}
    assert calls.put(Key("shop", "one"), links("shop", {"workflow": asking("bar")})) == {DESK}
    assert calls.callers(DESK) == ()
    assert calls.callers(BAR) == (Key("shop", "one"),)
    assert calls.drop(Key("shop", "one")) == {BAR}
    assert calls.callers(BAR) == calls.reached_by(BAR) == ()
    assert calls.drop(Key("shop", "one")) == frozenset()


def test_the_cache_tells_of_the_agent_and_of_those_that_it_begins_or_ceases_to_call():
    cache, one = Cache(), Key("shop", "one")
    assert cache.observe(body(workflow=asking("desk"), version="1"), deleted=False) == (one, DESK)
    assert cache.calls.callers(DESK) == (one,)
    same = body(workflow=asking("desk"), version="2")
    assert cache.observe(same, deleted=False) == ()
    assert cache.observe(body(workflow=asking("bar"), generation=2, version="3"), deleted=False) == (one, BAR, DESK)
    assert cache.calls.callers(DESK) == ()
    assert cache.observe(body(version="3"), deleted=True) == (one, BAR)
    assert cache.calls.callers(BAR) == ()


def test_an_agent_that_nobody_saw_go_calls_nobody():
    cache, one = Cache(), Key("shop", "one")
    cache.observe(body(workflow=asking("desk")), deleted=False)
    assert cache.gone(AGENTS, one, "one", cache.known(AGENTS)[one, "one"]) == (one, DESK)
    assert cache.calls.callers(DESK) == ()


def kept(ref: str = "apm-mongodb", **more: Any) -> dict[str, Any]:
    return {"state": {"mongodb": {"uriSecretRef": {"name": ref, "key": "uri"}, **more}}}


def test_who_shares_the_database_has_events_that_wait_for_an_agent():
    calls = CallIndex()
    sinks = {"events": {"sinks": [{"name": "to-bar", "agent": "bar"}, {"name": "again", "agent": "bar"}]}}
    calls.put(BAR, links("shop", kept()))
    assert calls.put(DESK, links("shop", sinks)) == {BAR}
    assert calls.senders(BAR) == (), "its events wait in the memory of its pods"
    assert calls.put(DESK, links("shop", sinks | kept(database="apm"))) == {BAR}
    assert calls.senders(BAR) == ((DESK, "again"), (DESK, "to-bar"))
    for elsewhere in (kept(database="other"), kept("other")):
        assert calls.put(DESK, links("shop", sinks | elsewhere)) == {BAR}
        assert calls.senders(BAR) == ()
    assert calls.put(DESK, links("shop", pushing("till") | kept())) == {BAR, Key("shop", "till")}
    assert calls.senders(BAR) == ()
