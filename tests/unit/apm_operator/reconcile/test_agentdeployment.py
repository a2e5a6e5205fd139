import base64
import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from apm_operator import errors
from apm_operator.kinds import AGENTS, DEPLOYMENTS
from apm_operator.queue import Key
from apm_operator.reconcile import plan
from apm_operator.reconcile.agentdeployment import Outcome, Reconciler
from apm_operator.reconcile.cache import Cache
from apm_operator.reconcile.events import Events
from apm_operator.reconcile.facts import PodFacts
from apm_operator.reconcile.plan import Plan
from apm_operator.reconcile.secrets import Secrets
from unit.apm_operator.agents import IMAGES, WORKFLOW, body
from unit.apm_operator.fakes import FakeKube

KEY = Key("shop", "one")
STATE = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}}


class SilentProber:
    async def reasons(self, pods: Mapping[str, PodFacts]) -> dict[str, str]:
        return dict.fromkeys((name for name, pod in pods.items() if pod.running and not pod.ready), "mongodb: refused")


class World:
    """A reconciler with its cache over a fake API."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.restart()

    def restart(self) -> None:
        """A new operator that has listed what there is."""
        self.cache = Cache()
        kube: Any = self.kube
        self.secrets = Secrets(kube)
        self.reconciler = Reconciler(
            kube=kube,
            cache=self.cache,
            secrets=self.secrets,
            events=Events(kube, "test"),
            prober=SilentProber(),
            images=IMAGES,
        )
        for found in self.kube.objects.values():
            if found["kind"] not in ("Secret", "Event"):
                self.cache.observe(found, deleted=False)
        self.kube.calls.clear()

    def write(self, **spec: Any) -> None:
        """The user applies a spec."""
        self.kube.version += 1
        at = (AGENTS.kind, KEY.namespace, KEY.name)
        before = self.kube.objects.get(at)
        new = body(version=str(self.kube.version), **spec)
        if before:
            new["metadata"]["generation"] = before["metadata"]["generation"] + 1
            new["status"] = before.get("status", {})
        self.kube.objects[at] = new
        self.cache.observe(json.loads(json.dumps(new)), deleted=False)

    def secret(self, value: str, version: str = "1") -> None:
        self.kube.objects["Secret", "shop", "apm-mongodb"] = {
            "kind": "Secret",
            "metadata": {"name": "apm-mongodb", "namespace": "shop", "uid": "s", "resourceVersion": version},
            "data": {"uri": base64.b64encode(value.encode()).decode()},
        }

    def change(self, kind: str, name: str = "one", **content: Any) -> None:
        """Somebody changes a child, and the watch tells."""
        child = self.kube.objects[kind, "shop", name]
        self.kube.version += 1
        child["metadata"]["resourceVersion"] = str(self.kube.version)
        for path, value in content.items():
            *parents, last = path.split("__")
            at = child
            for parent in parents:
                at = at.setdefault(parent, {})
            at[last] = value
        self.cache.observe(json.loads(json.dumps(child)), deleted=False)

    def rolled_out(self) -> None:
        replicas = self.kube.objects["Deployment", "shop", "one"]["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
        self.change("Deployment", status={"observedGeneration": 1, **counts})

    async def reconcile(self, failures: int = 0) -> Outcome:
        return await self.reconciler.reconcile(KEY, failures)

    @property
    def status(self) -> dict[str, Any]:
        return self.kube.objects[AGENTS.kind, "shop", "one"].get("status", {})

    @property
    def ready(self) -> tuple[str, str]:
        found = next(c for c in self.status["conditions"] if c["type"] == "Ready")
        return found["status"], found["reason"]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_new_agent_costs_its_children_and_one_status(world: World):
    world.write()
    assert (await world.reconcile()).result == "changed"
    assert world.kube.kinds() == {"ServiceAccount": 1, "ConfigMap": 1, "Service": 1, "Deployment": 1}
    assert world.kube.writes() == {
        ("apply", "ServiceAccount"): 1,
        ("apply", "ConfigMap"): 1,
        ("apply", "Service"): 1,
        ("apply", "Deployment"): 1,
        ("patch-status", "AgentDeployment"): 1,
    }
    assert world.ready == ("Unknown", "Progressing")


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
    assert [c["type"] for c in world.status["conditions"]] == ["Ready"]
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
    assert world.cache.observe(gone, deleted=True) == KEY
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
    assert {c["type"] for c in world.status["conditions"]} == {"Ready", "Stalled"}
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

    def noted(*arguments: Any) -> Plan:
        seen.append(threading.current_thread() is threading.main_thread())
        return make(*arguments)

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


async def test_a_missing_secret_is_told_and_its_coming_rolls_the_pods(world: World):
    world.write(state=STATE)
    await world.reconcile()
    assert world.ready == ("False", "SecretMissing")
    assert world.kube.kinds()["Deployment"] == 1
    world.secret("mongodb://x")
    secret = world.secrets._secrets["shop", "apm-mongodb"]
    assert await world.secrets._read("shop", "apm-mongodb", secret)
    await world.reconcile()
    assert world.ready == ("Unknown", "Progressing")
    template = world.kube.objects["Deployment", "shop", "one"]["spec"]["template"]
    assert "apm.valeo-neuroerp.com/secrets-hash" in template["metadata"]["annotations"]


async def test_no_value_of_a_secret_is_kept_or_written(world: World):
    world.secret("mongodb://user:very-secret@host")
    world.write(state=STATE)
    await world.reconcile()
    assert "very-secret" not in repr(world.secrets._secrets)
    written = {at: found for at, found in world.kube.objects.items() if at[0] != "Secret"}
    assert "very-secret" not in json.dumps(list(written.values()))


async def test_a_secret_that_may_not_be_read_is_no_failure(world: World):
    world.kube.fail["get", "Secret"] = [errors.Forbidden("no", status=403)]
    world.write(state=STATE)
    await world.reconcile()
    assert world.ready == ("Unknown", "Progressing")
    assert world.kube.kinds()["Event"] == 1
    await world.reconcile()
    assert world.kube.kinds()["Event"] == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.QuotaExceeded("exceeded quota: q", status=403), "QuotaExceeded"),
        (errors.Forbidden("no right", status=403), "Forbidden"),
        (errors.ApiError("broken", status=500), "ApiError"),
    ],
)
async def test_a_refusal_is_told_and_tried_again(world: World, error: errors.ApiError, reason: str):
    world.kube.fail["apply", "Deployment"] = [error]
    world.write()
    outcome = await world.reconcile(failures=3)
    assert outcome.failed
    assert world.ready == ("False", reason)
    assert "observedGeneration" not in world.status
    assert not (await world.reconcile()).failed
    assert world.ready == ("Unknown", "Progressing")
    assert world.status["observedGeneration"] == 1


async def test_an_invalid_child_stalls(world: World):
    world.kube.fail["apply", "Deployment"] = [errors.Invalid("spec.template: bad", status=422)]
    world.write()
    outcome = await world.reconcile()
    assert (outcome.result, outcome.failed) == ("invalid", False)
    assert world.ready == ("False", "SpecInvalid")


@pytest.mark.parametrize(
    "error",
    [
        errors.Overloaded("busy", status=429, retry_after=7),
        errors.ApiError("broken", status=500),
        errors.Conflict("newer", status=409),
        errors.Unreachable("no answer"),
    ],
)
async def test_a_short_trouble_leaves_no_trace_in_the_status(world: World, error: errors.ApiError):
    world.kube.fail["apply", "Deployment"] = [error]
    world.write()
    outcome = await world.reconcile()
    assert (outcome.failed, outcome.at_least) == (True, error.retry_after)
    assert world.status == {}
    assert not (await world.reconcile(failures=1)).failed
    assert world.ready == ("Unknown", "Progressing")


async def test_a_namespace_that_goes_away_is_left_in_peace(world: World):
    world.kube.fail["apply", "ServiceAccount"] = [errors.NamespaceTerminating("x", status=403)]
    world.write()
    outcome = await world.reconcile()
    assert (outcome.result, outcome.failed) == ("gone", False)
    assert world.status == {}


async def test_an_object_of_somebody_else_is_not_taken_over(world: World):
    world.kube.objects["Service", "shop", "one"] = {
        "kind": "Service",
        "metadata": {"name": "one", "namespace": "shop", "uid": "theirs", "resourceVersion": "1"},
        "spec": {"selector": {"app": "theirs"}},
    }
    world.write()
    assert (await world.reconcile()).failed
    assert world.ready == ("False", "NameTaken")
    assert world.kube.objects["Service", "shop", "one"]["spec"] == {"selector": {"app": "theirs"}}


async def test_a_child_whose_owner_was_taken_out_by_hand_is_repaired(world: World):
    world.write()
    await world.reconcile()
    world.change("Deployment", metadata__ownerReferences=[])
    assert (await world.reconcile()).result == "changed"
    assert world.kube.objects["Deployment", "shop", "one"]["metadata"]["ownerReferences"][0]["uid"] == "uid-one"


async def test_a_child_that_another_owner_holds_for_long_is_told(world: World):
    world.write()
    await world.reconcile()
    world.change(
        "Deployment", metadata__ownerReferences=[{"uid": "other", "name": "x", "kind": "X", "controller": True}]
    )
    assert (await world.reconcile(failures=2)).failed
    assert world.ready == ("Unknown", "Progressing")
    assert (await world.reconcile(failures=3)).failed
    assert world.ready == ("False", "NameTaken")


async def test_children_of_an_earlier_resource_of_the_name_are_waited_for(world: World):
    world.write()
    await world.reconcile()
    for (kind, _, _), child in world.kube.objects.items():
        if kind != AGENTS.kind:
            child["metadata"]["ownerReferences"][0]["uid"] = "uid-earlier"
    world.restart()
    assert (await world.reconcile()).failed
    assert world.kube.writes() == {}


async def test_reconcile_at_is_answered(world: World):
    world.write()
    await world.reconcile()
    found = world.kube.objects[AGENTS.kind, "shop", "one"]
    found["metadata"] |= {"annotations": {"apm.valeo-neuroerp.com/reconcile-at": "now"}, "resourceVersion": "9999"}
    assert world.cache.observe(found, deleted=False) == KEY
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
    assert world.cache.observe(pod, deleted=False) == KEY
    assert (await world.reconcile()).again is not None
    assert world.ready == ("False", "StateUnavailable")

    async def silent(_: object) -> dict[str, str]:
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
        assert world.cache.observe(found, deleted=False) is None


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
    assert world.cache.gone(DEPLOYMENTS, "shop", "one") == KEY
    entry = world.cache.get(KEY)
    assert entry is not None
    assert entry.deployment is None
