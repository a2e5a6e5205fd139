"""A pass over an agent that may sleep: its activator comes, is waited for, and goes."""

import json
from typing import Any

import pytest

from apm_operator.errors import Forbidden
from apm_operator.kinds import ACTIVATOR_LABEL, AGENT_LABEL, REACHED_LABEL
from unit.apm_operator.agents import body
from unit.apm_operator.world import KEY, STATE, World

QUEUE = {"minReplicas": 0, "maxReplicas": 8, "targetQueueDepth": 5}
AWAKE = {**QUEUE, "minReplicas": 1}
UP = {"availableReplicas": 1}
KEDA_IS_WELL = {"conditions": [{"type": "Ready", "status": "True"}]}


@pytest.fixture
def asked(world: World) -> World:
    """A world whose cluster has KEDA."""
    world.kube.keda = True
    world.secret("mongodb://x")
    return world


def selector(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.kube.objects["Service", "shop", "one"]["spec"]["selector"]
    return found


def condition(world: World) -> dict[str, Any]:
    return next((each for each in world.status["conditions"] if each["type"] == "Autoscaling"), {})


def names(world: World) -> set[tuple[str, str]]:
    """Kind and name of what there is of the activator."""
    return {(kind, name) for kind, _, name in world.kube.objects if name in ("one-activator", "one-awake")}


ALL = {
    ("Deployment", "one-activator"),
    ("NetworkPolicy", "one-activator"),
    ("Service", "one-activator"),
    ("Service", "one-awake"),
}


async def test_a_service_that_is_there_leads_to_the_activator_when_that_is_ready(asked: World):
    asked.write(state=STATE, autoscaling=AWAKE)
    await asked.reconcile()
    assert names(asked) == set()
    asked.write(state=STATE, autoscaling=QUEUE)
    await asked.reconcile()
    assert names(asked) == ALL
    assert selector(asked) == {AGENT_LABEL: "one"}, "connections would be refused until the activator is ready"
    asked.change("Deployment", "one-activator", status=UP)
    await asked.reconcile()
    assert selector(asked) == {REACHED_LABEL: "one"}
    asked.change("Deployment", "one-activator", status={})
    await asked.reconcile()
    assert selector(asked) == {REACHED_LABEL: "one"}


@pytest.mark.parametrize("was_ready", [False, True])
async def test_the_agent_is_reached_at_its_new_port_also_where_the_activator_is_not_ready(asked: World, was_ready):
    asked.write(state=STATE, autoscaling=AWAKE)
    await asked.reconcile()
    asked.write(state=STATE, autoscaling=QUEUE)
    await asked.reconcile()
    if was_ready:
        asked.change("Deployment", "one-activator", status=UP)
        await asked.reconcile()
        asked.change("Deployment", "one-activator", status={})
    asked.write(state=STATE, autoscaling=QUEUE, tls={"mode": "Enabled"})
    await asked.reconcile()
    await asked.reconcile()  # now it is known who signs
    (port,) = asked.kube.objects["Service", "shop", "one"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (8443, "https")
    assert selector(asked) == {AGENT_LABEL: "one"}
    asked.change("Deployment", "one-activator", status=UP)
    await asked.reconcile()
    assert selector(asked) == {REACHED_LABEL: "one"}


async def test_it_goes_when_the_agent_is_not_to_sleep_any_more(asked: World):
    asked.write(state=STATE, autoscaling=QUEUE)
    await asked.reconcile()
    asked.change("Deployment", "one-activator", status=UP)
    await asked.reconcile()
    assert names(asked) == ALL
    asked.write(state=STATE, autoscaling=AWAKE)
    await asked.reconcile()
    assert names(asked) == set()
    assert selector(asked) == {AGENT_LABEL: "one"}


async def test_one_that_may_not_be_deleted_leaves_the_agent_as_ready_as_it_is(asked: World):
    asked.write(state=STATE, autoscaling=QUEUE)
    await asked.reconcile()
    asked.change("Deployment", "one-activator", status=UP)
    asked.kube.fail["delete", "Deployment"] = [Forbidden("no", status=403)]
    asked.write(state=STATE, autoscaling=AWAKE)
    await asked.reconcile()
    assert names(asked) == {("Deployment", "one-activator")}
    assert selector(asked) == {AGENT_LABEL: "one"}
    assert asked.ready[1] != "Forbidden"
    await asked.reconcile()
    assert names(asked) == set(), "once it may"


async def test_it_is_not_taken_for_the_agent(asked: World):
    asked.write(state=STATE, autoscaling=QUEUE)
    await asked.reconcile()
    asked.rolled_out()
    before = asked.cache.get(KEY)
    assert before is not None
    own = before.deployment
    asked.change("Deployment", "one-activator", status={"observedGeneration": 9, "availableReplicas": 1})
    entry = asked.cache.get(KEY)
    assert entry is not None
    assert entry.deployment == own
    assert entry.activator is not None
    gone = json.loads(json.dumps(asked.kube.objects["Deployment", "shop", "one-activator"]))
    asked.cache.observe(gone, deleted=True)
    assert entry.activator is None
    assert entry.deployment == own


async def test_the_condition_says_when_it_is_not_ready(asked: World):
    asked.write(state=STATE, autoscaling=QUEUE)
    await asked.reconcile()
    asked.kube.objects["ScaledObject", "shop", "one"]["status"] = KEDA_IS_WELL
    await asked.reconcile()
    assert (condition(asked)["status"], condition(asked)["reason"]) == ("Unknown", "ActivatorNotReady")
    assert "ActivatorNotReady" not in asked.events(), "it starts"
    stuck = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
    asked.change("Deployment", "one-activator", status={"conditions": [stuck, refused]})
    await asked.reconcile()
    assert (condition(asked)["status"], condition(asked)["reason"]) == ("False", "ActivatorNotReady")
    assert "exceeded quota" in condition(asked)["message"]
    assert "one-activator" in condition(asked)["message"]
    assert asked.events().count("ActivatorNotReady") == 1
    asked.change("Deployment", "one-activator", status=UP)
    await asked.reconcile()
    assert condition(asked)["reason"] == "KedaReady"


async def test_keda_is_let_go_also_while_it_is_not_ready(asked: World):
    asked.write(state=STATE, autoscaling=QUEUE)
    await asked.reconcile()
    asked.kube.objects["ScaledObject", "shop", "one"]["status"] = KEDA_IS_WELL
    await asked.reconcile()
    assert condition(asked)["reason"] == "ActivatorNotReady"
    asked.write(state=STATE)
    await asked.reconcile()
    assert asked.kube.kinds()["ScaledObject"] == 0


async def test_who_calls_it_may_reach_its_activator(asked: World):
    ask = {"start": "ask", "nodes": [{"name": "ask", "uses": "agent", "with": {"ref": "bar"}}]}
    asked.write(workflow=ask)
    await asked.reconcile()
    assert ACTIVATOR_LABEL not in json.dumps(asked.policy)
    told = asked.cache.observe(body("bar", version="77", state=STATE, autoscaling=QUEUE), deleted=False)
    assert KEY in told
    await asked.reconcile()
    assert ACTIVATOR_LABEL in json.dumps(asked.policy)
