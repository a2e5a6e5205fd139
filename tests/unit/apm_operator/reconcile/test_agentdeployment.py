import threading
from typing import Any

import pytest

from apm_operator.kinds import AGENTS, DEPLOYMENTS
from apm_operator.reconcile import plan
from apm_operator.reconcile.plan import Plan
from unit.apm_operator.agents import WORKFLOW
from unit.apm_operator.world import KEY, STATE, World


async def test_a_new_agent_costs_its_children_and_one_status(world: World):
    world.write()
    assert (await world.reconcile()).result == "changed"
    children = ("ServiceAccount", "ConfigMap", "Service", "NetworkPolicy", "Deployment")
    assert world.kube.kinds() == dict.fromkeys(children, 1)
    assert world.kube.writes() == {
        ("apply", "ServiceAccount"): 1,
        ("apply", "ConfigMap"): 1,
        ("apply", "Service"): 1,
        ("apply", "NetworkPolicy"): 1,
        ("apply", "Deployment"): 1,
        ("patch-status", "AgentDeployment"): 1,
    }
    assert world.ready == ("Unknown", "Progressing")


async def test_no_agent_is_made_in_the_operators_own_namespace(world: World):
    world.reconciler.home = KEY.namespace
    reference = {"name": "STOLEN", "valueFrom": {"secretKeyRef": {"name": "apm-operator-ca", "key": "tls.key"}}}
    world.write(env=[reference])
    assert (await world.reconcile()).result == "invalid"
    assert world.kube.kinds() == {"Event": 1}
    assert world.ready == ("False", "NamespaceNotAllowed")
    told = {condition["type"]: condition for condition in world.status["conditions"]}
    assert told["Stalled"]["status"] == "True"
    assert "make one in another namespace" in told["Ready"]["message"]


async def test_a_second_pass_calls_nothing(world: World):
    world.write()
    await world.reconcile()
    world.kube.calls.clear()
    assert (await world.reconcile()).result == "unchanged"
    assert world.kube.calls == {}


async def test_a_restart_writes_nothing(world: World):
    world.secret("mongodb://x")
    world.write(replicas=2, state=STATE)
    await world.reconcile()
    world.restart()
    assert (await world.reconcile()).result == "unchanged"
    assert world.kube.writes() == {}


async def test_a_restart_removes_a_field_that_went_out_of_the_spec_meanwhile(world: World):
    world.write(nodeSelector={"disk": "fast"})
    await world.reconcile()
    world.write()
    world.restart()
    await world.reconcile()
    assert world.kube.writes()["apply", "Deployment"] == 1
    assert "nodeSelector" not in world.kube.objects["Deployment", "shop", "one"]["spec"]["template"]["spec"]


async def test_an_agent_whose_pods_are_ready_is_ready(world: World):
    world.write()
    await world.reconcile()
    world.rolled_out()
    await world.reconcile()
    assert world.ready == ("True", "Ready")
    assert [c["type"] for c in world.status["conditions"]] == ["Ready", "NetworkReady"]
    assert world.kube.kinds()["Event"] == 1


async def test_a_child_edited_by_hand_is_repaired_with_one_write(world: World):
    world.write()
    await world.reconcile()
    world.kube.calls.clear()
    world.change("Service", spec__selector={"apm.valeo-neuroerp.com/agent": "other"})
    await world.reconcile()
    assert world.kube.writes() == {("apply", "Service"): 1}


async def test_what_others_add_to_a_child_is_left_alone(world: World):
    world.write()
    await world.reconcile()
    world.restart()
    world.change("Service", spec__sessionAffinity="None")
    await world.reconcile()
    assert world.kube.writes() == {}


async def test_a_deleted_child_comes_back(world: World):
    world.write()
    await world.reconcile()
    gone = world.kube.objects.pop(("Deployment", "shop", "one"))
    assert world.cache.observe(gone, deleted=True) == (KEY,)
    world.kube.calls.clear()
    await world.reconcile()
    assert world.kube.writes()["apply", "Deployment"] == 1


async def test_a_child_that_is_no_longer_wanted_goes(world: World):
    world.secret("mongodb://x")
    world.write(replicas=2, state=STATE)
    await world.reconcile()
    assert world.kube.kinds()["PodDisruptionBudget"] == 1
    world.write(replicas=1, state=STATE)
    await world.reconcile()
    assert world.kube.kinds()["PodDisruptionBudget"] == 0


async def test_an_old_config_goes_when_the_roll_out_is_over(world: World):
    world.write()
    await world.reconcile()
    world.rolled_out()
    nodes = [WORKFLOW["nodes"][0] | {"with": {"prompt": "Other."}}]
    world.write(workflow=WORKFLOW | {"nodes": nodes})
    world.kube.objects["Deployment", "shop", "one"]["status"] = {}
    await world.reconcile()
    assert world.kube.kinds()["ConfigMap"] == 2
    world.rolled_out()
    await world.reconcile()
    assert world.kube.kinds()["ConfigMap"] == 1


async def test_a_wrong_workflow_stalls_and_touches_nothing(world: World):
    world.write()
    await world.reconcile()
    before = world.kube.kinds()
    world.write(workflow=WORKFLOW | {"start": "nowhere"})
    outcome = await world.reconcile()
    assert (outcome.result, outcome.failed) == ("invalid", False)
    assert world.ready == ("False", "WorkflowInvalid")
    assert {c["type"] for c in world.status["conditions"]} == {"Ready", "Stalled", "NetworkReady"}
    assert {kind: world.kube.kinds()[kind] for kind in before} == before
    world.write()
    await world.reconcile()
    assert world.ready[1] in ("Progressing", "RollingOut")


async def test_a_spec_that_can_not_be_read_stalls(world: World):
    world.write(replicas=-1)
    assert (await world.reconcile()).result == "invalid"
    assert world.ready == ("False", "SpecInvalid")
    assert "replicas" in world.status["conditions"][0]["message"]
    assert world.status["observedGeneration"] == 1


async def test_a_long_spec_is_checked_beside_the_event_loop(world: World, monkeypatch: pytest.MonkeyPatch):
    seen: list[bool] = []
    make = plan.make

    def noted(*arguments: Any, **named: Any) -> Plan:
        seen.append(threading.current_thread() is threading.main_thread())
        return make(*arguments, **named)

    monkeypatch.setattr(plan, "make", noted)
    world.write()
    await world.reconcile()
    world.write(env=[{"name": "LONG", "value": "x" * 32_768}])
    await world.reconcile()
    assert seen == [True, False]


async def test_a_suspended_agent_keeps_its_children_and_its_state(world: World):
    world.write()
    await world.reconcile()
    world.rolled_out()
    await world.reconcile()
    world.write(suspend=True, nodeSelector={"disk": "fast"})
    world.kube.calls.clear()
    await world.reconcile()
    assert world.ready == ("True", "Suspended")
    assert set(world.kube.writes()) == {("patch-status", "AgentDeployment"), ("create", "Event")}


async def test_reconcile_at_is_answered(world: World):
    world.write()
    await world.reconcile()
    found = world.kube.objects[AGENTS.kind, "shop", "one"]
    found["metadata"] |= {"annotations": {"apm.valeo-neuroerp.com/reconcile-at": "now"}, "resourceVersion": "9999"}
    assert world.cache.observe(found, deleted=False) == (KEY,)
    await world.reconcile()
    assert world.status["lastHandledReconcileAt"] == "now"


async def test_a_spec_that_comes_during_a_pass_is_not_told_to_be_dealt_with(world: World):
    world.write()
    apply = world.kube.apply

    async def apply_while_the_user_writes(*arguments: Any, **options: Any) -> Any:
        if world.kube.calls["apply", "Service"] == 0:
            world.write(replicas=0)
        return await apply(*arguments, **options)

    world.kube.apply = apply_while_the_user_writes  # type: ignore[method-assign]
    await world.reconcile()
    assert world.status["observedGeneration"] == 1
    await world.reconcile()
    generation = world.kube.objects[AGENTS.kind, "shop", "one"]["metadata"]["generation"]
    assert world.status["observedGeneration"] == generation > 1
    assert world.kube.objects["Deployment", "shop", "one"]["spec"]["replicas"] == 0


async def test_a_pod_that_stops_answering_does_not_make_the_reason_flap(world: World):
    world.write()
    await world.reconcile()
    world.change("Deployment", status={"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1})
    labels = world.kube.objects["Deployment", "shop", "one"]["spec"]["template"]["metadata"]
    container = {"name": "agent", "started": True, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    metadata = labels | {"name": "one-x", "namespace": "shop", "resourceVersion": "1", "uid": "p"}
    pod = {"kind": "Pod", "metadata": metadata, "spec": {}, "status": {"containerStatuses": [container]}}
    assert world.cache.observe(pod, deleted=False) == (KEY,)
    assert (await world.reconcile()).again is not None
    assert world.ready == ("False", "StateUnavailable")

    async def silent(*_: object) -> dict[str, str]:
        return {}

    world.reconciler.prober.reasons = silent  # type: ignore[method-assign]
    world.kube.calls.clear()
    await world.reconcile()
    assert world.ready == ("False", "StateUnavailable")
    assert world.kube.calls == {}


async def test_the_echo_of_an_own_write_wakes_nobody(world: World):
    world.write()
    await world.reconcile()
    for found in tuple(world.kube.objects.values()):
        assert world.cache.observe(found, deleted=False) == ()


async def test_a_deleted_agent_is_forgotten(world: World):
    world.write()
    await world.reconcile()
    for found in tuple(world.kube.objects.values()):
        world.cache.observe(found, deleted=True)
    assert (await world.reconcile()).result == "gone"
    assert world.cache.get(KEY) is None
    assert tuple(world.cache) == ()


async def test_a_deployment_found_missing_has_no_facts_left(world: World):
    world.write()
    await world.reconcile()
    version = world.cache.known(DEPLOYMENTS)[KEY, "one"]
    assert world.cache.gone(DEPLOYMENTS, KEY, "one", version) == (KEY,)
    entry = world.cache.get(KEY)
    assert entry is not None
    assert entry.deployment is None


async def test_children_of_others_come_before_the_word_that_work_goes_on(world: World):
    world.reconciler.pressed = lambda: True
    world.write()
    outcome = await world.reconcile()
    assert (outcome.result, outcome.untold) == ("changed", True)
    assert not world.status
    outcome = await world.reconcile()
    assert (outcome.result, outcome.untold) == ("changed", False)
    assert world.status["observedGeneration"] == 1


async def test_trouble_is_told_at_once_however_many_wait(world: World):
    world.reconciler.pressed = lambda: True
    world.write(workflow={"start": "nowhere", "nodes": [{"name": "a", "uses": "model"}]})
    assert (await world.reconcile()).result == "invalid"
    assert world.status["conditions"]
