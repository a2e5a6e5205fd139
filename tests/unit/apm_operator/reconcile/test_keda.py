"""How KEDA is asked to scale an agent by its queue."""

import json
from typing import Any

from bson import json_util

from apm_operator.errors import Forbidden
from apm_operator.kinds import AGENT_LABEL
from apm_operator.manifests.agent import Surroundings
from apm_operator.reconcile.plan import Plan
from apm_operator.reconcile.surroundings import Outlook
from unit.apm_operator.agents import plan
from unit.apm_operator.world import STATE, World

QUEUE = {"minReplicas": 0, "maxReplicas": 8, "targetQueueDepth": 5, "scaleDownStabilization": "30s"}
INSTALLED = Outlook(Surroundings(keda=True))
WITH_SENDER = Outlook(Surroundings(keda=True, senders=(("shop/desk", "to-one"),)))


def asked(made: Plan, kind: str) -> dict[str, Any]:
    return next((json.loads(each.body) for each in made.keda if each.resource.kind == kind), {})


def fewest(world: World) -> int:
    """Pods that KEDA has to leave there."""
    return int(world.kube.objects["ScaledObject", "shop", "one"]["spec"]["minReplicaCount"])


def tell_of_pod(world: World, ready: str, *, deleted: bool = False) -> None:
    """The watch tells of a pod of the configuration that is wanted."""
    world.kube.version += 1
    hashes = world.kube.objects["Deployment", "shop", "one"]["spec"]["template"]["metadata"]["annotations"]
    metadata = {
        "name": "one-a",
        "namespace": "shop",
        "labels": {AGENT_LABEL: "one"},
        "annotations": hashes,
        "resourceVersion": str(world.kube.version),
        "uid": "a",
    }
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    world.cache.observe({"kind": "Pod", "metadata": metadata, "spec": {}, "status": status}, deleted=deleted)


def kinds(made: Plan) -> set[str]:
    return {each.resource.kind for each in made.manifests}


def containers(made: Plan) -> list[dict[str, Any]]:
    """The containers of the agent's own pods."""
    bodies = (
        json.loads(each.body) for each in made.manifests if (each.resource.kind, each.name) == ("Deployment", "one")
    )
    found: list[dict[str, Any]] = next(bodies)["spec"]["template"]["spec"]["containers"]
    return found


def condition(world: World) -> dict[str, Any]:
    return next((each for each in world.status["conditions"] if each["type"] == "Autoscaling"), {})


def test_the_queue_is_what_mongodb_tells():
    made = plan(state=STATE, autoscaling=QUEUE | {"targetCPUUtilizationPercentage": 70}, outlook=INSTALLED)
    spec = asked(made, "ScaledObject")["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["cooldownPeriod"]) == (0, 8, 30)
    metadata = {each.get("name", each["type"]): each["metadata"] for each in spec["triggers"]}
    assert {each["dbName"] for each in metadata.values() if "dbName" in each} == {"apm"}
    assert {name: each["queryValue"] for name, each in metadata.items() if "queryValue" in each} == {
        "runs": "5",
        "events": "5",
        "crons": "1000000",
        "interrupts": "1000000",
    }
    assert metadata["cpu"] == {"value": "70"}
    for each in metadata.values():
        if "query" in each:
            assert json_util.loads(each["query"])["agent"] == "shop/one"
    secret = {"parameter": "connectionString", "name": "apm-mongodb", "key": "uri"}
    assert asked(made, "TriggerAuthentication")["spec"] == {"secretTargetRef": [secret]}


def test_keda_speaks_tls_to_mongodb_where_the_agent_does():
    ca, own = ({"name": "mongodb-tls", "key": key} for key in ("ca.crt", "tls-combined.pem"))
    for tls, certificate in (
        ({"caSecretRef": ca}, []),
        (
            {"caSecretRef": ca, "clientCertificateSecretRef": own},
            [{"parameter": "cert", **own}, {"parameter": "key", **own}],
        ),
    ):
        made = plan(state={"mongodb": STATE["mongodb"] | {"tls": tls}}, autoscaling=QUEUE, outlook=INSTALLED)
        spec = asked(made, "TriggerAuthentication")["spec"]
        uri = {"parameter": "connectionString", "name": "apm-mongodb", "key": "uri"}
        assert spec["secretTargetRef"] == [uri, {"parameter": "ca", **ca}, *certificate]
        (told,) = spec["env"]
        assert told["parameter"] == "tls"
        (container,) = (each for each in containers(made) if each["name"] == told["containerName"])
        assert {"name": told["name"], "value": "enable"} in container["env"]
        without = plan(state={"mongodb": STATE["mongodb"] | {"tls": tls}}, autoscaling=QUEUE)
        assert containers(without) == containers(made), "pods stay as they are when KEDA comes or goes"


def test_webhooks_wake_an_agent_that_sends_them():
    spec = {"state": STATE, "autoscaling": QUEUE}
    hooks = {"webhooks": {"origins": ["https://hooks.example"]}}
    for runs, woken in ((None, False), ({"maxQueued": 5}, False), (hooks, True)):
        made = plan(**spec, **({"runs": runs} if runs else {}), outlook=INSTALLED)
        triggers = {each["name"]: each["metadata"] for each in asked(made, "ScaledObject")["spec"]["triggers"]}
        assert ("webhooks" in triggers) is woken
    assert triggers["webhooks"]["queryValue"] == "1000000"


def test_an_agent_that_always_has_a_pod_is_not_woken():
    made = plan(state=STATE, autoscaling=QUEUE | {"minReplicas": 1}, outlook=WITH_SENDER)
    triggers = asked(made, "ScaledObject")["spec"]["triggers"]
    assert [each["name"] for each in triggers] == ["runs", "events"]
    assert json.loads(triggers[1]["metadata"]["query"]) == {"agent": "shop/one", "open": True}
    assert made.keda_first is None


def test_events_that_others_have_for_an_agent_wake_it():
    made = plan(state=STATE, autoscaling=QUEUE, outlook=WITH_SENDER)
    (events,) = [each for each in asked(made, "ScaledObject")["spec"]["triggers"] if each["name"] == "events"]
    own, sent = {"agent": "shop/one", "open": True}, {"agent": "shop/desk", "pending": "sink/to-one"}
    assert json.loads(events["metadata"]["query"]) == {"$or": [own, sent]}


async def test_a_pod_of_a_new_configuration_is_not_ended_before_it_was_ready(world: World):
    world.kube.keda = True
    world.secret("mongodb://x")
    world.write(state=STATE, autoscaling=QUEUE)
    await world.reconcile()
    assert fewest(world) == 1
    tell_of_pod(world, ready="False")
    await world.reconcile()
    assert fewest(world) == 1
    tell_of_pod(world, ready="True")
    await world.reconcile()
    assert fewest(world) == 0
    tell_of_pod(world, ready="True", deleted=True)
    await world.reconcile()
    assert fewest(world) == 0, "what has been ready once may sleep"
    world.write(state=STATE, autoscaling=QUEUE, priorityClassName="other")
    await world.reconcile()
    assert fewest(world) == 0
    world.write(state=STATE, autoscaling=QUEUE, crons=[{"name": "tick", "schedule": "* * * * *"}])
    await world.reconcile()
    assert fewest(world) == 1


def test_where_keda_scales_there_is_no_other_autoscaler():
    both = QUEUE | {"targetCPUUtilizationPercentage": 70}
    made = plan(state=STATE, autoscaling=both, outlook=INSTALLED)
    assert "HorizontalPodAutoscaler" not in kinds(made)
    assert (made.least, made.keda_missing) == (0, False)


def test_without_keda_the_other_targets_are_followed():
    made = plan(state=STATE, autoscaling=QUEUE | {"targetCPUUtilizationPercentage": 70})
    assert "HorizontalPodAutoscaler" in kinds(made)
    assert made.keda == ()
    assert (made.least, made.keda_missing) == (1, True)


def test_zero_replicas_end_it():
    made = plan(state=STATE, autoscaling=QUEUE, replicas=0, outlook=INSTALLED)
    assert made.keda == ()
    assert not made.keda_missing


async def test_what_is_missing_is_said(world: World):
    world.secret("mongodb://x")
    world.write(state=STATE, autoscaling=QUEUE)
    await world.reconcile()
    found = condition(world)
    assert (found["status"], found["reason"]) == ("False", "KedaMissing")
    assert "install it" in found["message"]
    assert "stays as it is" in found["message"]
    assert world.events().count("KedaMissing") == 1


async def test_keda_is_asked_once_and_let_go_when_the_target_is(world: World):
    world.kube.keda = True
    world.secret("mongodb://x")
    world.write(state=STATE, autoscaling=QUEUE)
    await world.reconcile()
    assert world.kube.kinds()["ScaledObject"] == world.kube.kinds()["TriggerAuthentication"] == 1
    assert condition(world)["reason"] == "KedaNotReady"
    scaled = world.kube.objects["ScaledObject", "shop", "one"]
    scaled["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    world.change("Deployment", "one-activator", status={"availableReplicas": 1})
    await world.reconcile()
    world.kube.calls.clear()
    outcome = await world.reconcile()
    assert condition(world)["reason"] == "KedaReady"
    assert outcome.again == 60.0
    assert ("apply", "ScaledObject") not in world.kube.calls
    world.write(state=STATE)
    await world.reconcile()
    assert world.kube.kinds()["ScaledObject"] == world.kube.kinds()["TriggerAuthentication"] == 0
    assert condition(world) == {}


async def test_a_missing_right_is_said(world: World):
    world.kube.keda = True
    world.kube.fail["apply", "TriggerAuthentication"] = [Forbidden("no", status=403)]
    world.secret("mongodb://x")
    world.write(state=STATE, autoscaling=QUEUE)
    await world.reconcile()
    found = condition(world)
    assert (found["status"], found["reason"]) == ("False", "KedaForbidden")
    assert "autoscaling.keda" in found["message"]
