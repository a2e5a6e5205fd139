"""What an autoscaler rules, and how it begins."""

import json
from typing import Any

import pytest

from apm_operator.kinds import DEPLOYMENTS
from apm_operator.reconcile.assess import observed
from apm_operator.reconcile.facts import DeploymentFacts
from apm_operator.reconcile.plan import Plan
from apm_operator.reconcile.scaling import AutoscalerFacts, aspect
from unit.apm_operator.agents import plan
from unit.apm_operator.world import STATE, World

AUTOMATIC = {"minReplicas": 2, "maxReplicas": 8, "targetCPUUtilizationPercentage": 70}


def child(made: Plan, kind: str) -> dict[str, Any]:
    return next((json.loads(each.body) for each in made.manifests if each.resource.kind == kind), {})


def test_the_autoscaler_has_the_bounds_and_targets_of_the_spec():
    wanted = AUTOMATIC | {"targetMemoryUtilizationPercentage": 90, "scaleDownStabilization": "1m30s"}
    spec = child(plan(state=STATE, autoscaling=wanted), "HorizontalPodAutoscaler")["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "one"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 8)
    targets = {each["resource"]["name"]: each["resource"]["target"]["averageUtilization"] for each in spec["metrics"]}
    assert targets == {"cpu": 70, "memory": 90}
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 90


def test_the_number_of_pods_is_the_autoscalers():
    made = plan(state=STATE, autoscaling=AUTOMATIC, replicas=3)
    assert "replicas" not in child(made, "Deployment")["spec"]
    assert made.least == 2
    assert child(made, "PodDisruptionBudget") != {}


def test_zero_replicas_end_all_pods_and_their_autoscaler():
    made = plan(state=STATE, autoscaling=AUTOMATIC, replicas=0)
    assert child(made, "Deployment")["spec"]["replicas"] == 0
    assert child(made, "HorizontalPodAutoscaler") == {}
    assert made.least is None


def test_pods_are_the_same_with_and_without_an_autoscaler_of_several():
    fixed, automatic = plan(state=STATE, replicas=3), plan(state=STATE, autoscaling=AUTOMATIC)
    assert child(fixed, "Deployment")["spec"]["template"] == child(automatic, "Deployment")["spec"]["template"]


def test_autoscaling_is_no_part_of_the_pods_config():
    assert plan(state=STATE).config_hash == plan(state=STATE, autoscaling=AUTOMATIC).config_hash


SCALING = DeploymentFacts(generation=1, observed_generation=1, wanted=4, replicas=3, updated=3, ready=2, available=2)


@pytest.mark.parametrize(("least", "reason"), [(None, "RollingOut"), (2, "Ready"), (3, "RollingOut")])
def test_a_pod_that_comes_with_the_load_makes_an_agent_no_less_ready(least: int | None, reason: str):
    assert observed(SCALING, {}, config="c", unready={}, least=least).reason == reason


def test_a_roll_out_is_one_under_an_autoscaler_too():
    rolling = DeploymentFacts(generation=1, observed_generation=1, wanted=3, replicas=4, updated=1, available=3)
    assert observed(rolling, {}, config="c", unready={}, least=2).reason == "RollingOut"


def told(**conditions: tuple[str, str]) -> AutoscalerFacts:
    listed = [{"type": kind, "status": status, "reason": reason} for kind, (status, reason) in conditions.items()]
    return AutoscalerFacts.read({"status": {"conditions": listed}})


@pytest.mark.parametrize(
    ("facts", "truth", "reason"),
    [
        (None, "Unknown", "Pending"),
        (AutoscalerFacts.read({}), "Unknown", "Pending"),
        (told(ScalingActive=("True", "ValidMetricFound")), "True", "Active"),
        (told(ScalingActive=("False", "FailedGetResourceMetric")), "False", "FailedGetResourceMetric"),
        (told(ScalingActive=("True", "V"), ScalingLimited=("True", "TooManyReplicas")), "True", "AtMaximum"),
        (told(ScalingActive=("True", "V"), ScalingLimited=("True", "TooFewReplicas")), "True", "Active"),
    ],
)
def test_the_condition_says_how_the_autoscaler_is(facts: AutoscalerFacts | None, truth: str, reason: str):
    found = aspect(facts, "one", 2)
    assert (found.truth, found.reason) == (truth, reason)
    assert found.message


def test_without_an_autoscaler_there_is_no_condition():
    assert aspect(None, "one", None).reason == ""


async def test_a_change_to_automatic_begins_with_the_pods_that_are_there(world: World):
    world.secret("mongodb://x")
    world.write(state=STATE, replicas=5)
    await world.reconcile()
    deployment = world.kube.objects[DEPLOYMENTS.kind, "shop", "one"]
    held = {"manager": "apm-operator", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    deployment["metadata"]["managedFields"] = [held]
    world.kube.calls.clear()
    world.kube.applied.clear()
    world.write(state=STATE, autoscaling=AUTOMATIC)
    await world.reconcile()
    (first, second) = [each for each in world.kube.applied if each[1]["kind"] == DEPLOYMENTS.kind]
    assert (first[0], first[1]["spec"]) == ("apm-operator-replicas", {"replicas": 5})
    assert first[1]["metadata"]["resourceVersion"]
    assert second[0] == "apm-operator"
    assert "replicas" not in second[1]["spec"]
