"""The operator beside KEDA's own kinds: asked, followed, and left again. KEDA itself does not run here."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apm_operator.kinds import AGENT_LABEL, REACHED_LABEL
from cluster import crds, gobuild
from cluster.controlplane import ControlPlane
from cluster.instances import control_plane as start_control_plane
from cluster.progress import wait_until
from integration.operators import Operator, eventually, operator
from integration.shop import Shop

STATE = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}}
QUEUE = {"minReplicas": 0, "maxReplicas": 8, "targetQueueDepth": 5, "targetCPUUtilizationPercentage": 70}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane of its own: other tests look at a cluster without KEDA."""
    with start_control_plane() as plane:
        crds.install(plane)
        serve(plane)
        yield plane


def serve(plane: ControlPlane) -> None:
    """Have the API server know the kinds of KEDA that the operator uses."""
    folder = gobuild.module_directory("keda", "github.com/kedacore/keda/v2") / "config/crd/bases"
    kinds = ("scaledobjects", "triggerauthentications")
    for kind in kinds:
        plane.kubectl("apply", "--server-side", f"--filename={folder / f'keda.sh_{kind}.yaml'}")
    wait_until(
        "serving the CRDs of KEDA",
        lambda: set(kinds) <= set(plane.kubectl("api-resources", "--api-group=keda.sh").split()),
        seconds=30,
    )


@pytest.fixture
def shop(plane: ControlPlane) -> Iterator[Shop]:
    """A namespace of its own: collecting what another test's agent left may take a minute in a young cluster."""
    made = Shop(plane, f"queues-{secrets.token_hex(4)}")
    plane.kubectl("create", "namespace", made.namespace)
    made.kubectl("create", "secret", "generic", "apm-mongodb", "--from-literal=uri=mongodb://x")
    yield made
    made.kubectl("delete", "agent", "--all")


@pytest.fixture
def running(shop: Shop, tmp_path: Path) -> Iterator[Operator]:
    with operator(shop.plane.kubeconfig, shop.namespace, tmp_path / "log") as started:
        started.ready()
        yield started


def condition(shop: Shop) -> dict[str, Any]:
    conditions = shop.get("agent").get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == "Autoscaling"), {})


def look_again(shop: Shop, mark: str) -> None:
    shop.kubectl("annotate", "agent", "one", f"apm.valeo-neuroerp.com/reconcile-at={mark}", "--overwrite")
    eventually("seen", lambda: shop.get("agent")["status"].get("lastHandledReconcileAt") == mark)


def activator(shop: Shop) -> dict[str, dict[str, Any]]:
    """What there is of the agent's activator."""
    made = {kind: shop.get(kind, "one-activator") for kind in ("deployment", "service", "networkpolicy")}
    return made | {"awake": shop.get("service", "one-awake")}


def activator_is_up(shop: Shop) -> None:
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), 1)
    patch = json.dumps({"status": counts})
    shop.kubectl("patch", "deployment", "one-activator", "--subresource=status", "--type=merge", f"--patch={patch}")


def pod_is_up(shop: Shop) -> None:
    """A pod as the Deployment wants it, which nothing runs, and which is said to be ready."""
    template = shop.get("deployment")["spec"]["template"]
    metadata = {name: template["metadata"][name] for name in ("labels", "annotations")} | {"name": "one-up"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    shop.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(pod))
    patch = json.dumps({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    shop.kubectl("patch", "pod", "one-up", "--subresource=status", "--type=merge", f"--patch={patch}")


def test_keda_scales_an_agent_by_its_queue_and_is_let_go(shop: Shop, running: Operator):
    shop.agent(state=STATE, autoscaling=QUEUE)
    eventually("KEDA is asked", lambda: condition(shop).get("reason") == "KedaNotReady")
    spec = shop.get("scaledobject")["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 8), "the first pod writes crons down"
    assert [each["type"] for each in spec["triggers"]] == ["mongodb"] * 4 + ["metrics-api", "cpu"]
    assert shop.get("triggerauthentication")["spec"]["secretTargetRef"][0]["name"] == "apm-mongodb"
    assert shop.get("hpa") == {}
    assert shop.get("deployment")["spec"]["replicas"] == 1

    pod_is_up(shop)
    eventually("it may sleep", lambda: shop.get("scaledobject")["spec"]["minReplicaCount"] == 0)
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "ScaledObjectReady"}]}}
    patch = json.dumps(ready)
    shop.kubectl("patch", "scaledobject", "one", "--subresource=status", "--type=merge", f"--patch={patch}")
    shop.kubectl("scale", "deployment", "one", "--replicas=0")
    look_again(shop, "1")
    # The pass that was asked for may have begun before the operator heard what had become of the ScaledObject.
    eventually("requests are not taken yet", lambda: condition(shop)["reason"] == "ActivatorNotReady")
    activator_is_up(shop)
    eventually("requests are taken", lambda: condition(shop)["reason"] == "KedaReady")
    assert shop.get("deployment")["spec"]["replicas"] == 0
    assert running.calls()["apply", "ScaledObject"] == 2, "what KEDA's kind does not know would be applied for ever"

    shop.kubectl("patch", "scaledobject", "one", "--type=merge", '--patch={"spec":{"maxReplicaCount":99}}')
    look_again(shop, "2")
    eventually("it is put right", lambda: shop.get("scaledobject")["spec"]["maxReplicaCount"] == 8)

    shop.agent(state=STATE, autoscaling=QUEUE, priorityClassName="other")
    eventually("a pod takes up what is new", lambda: shop.get("deployment")["spec"]["replicas"] == 1)

    cpu = {"maxReplicas": 8, "targetCPUUtilizationPercentage": 70}
    shop.agent(state=STATE, autoscaling=cpu)
    eventually("the other autoscaler", lambda: shop.get("hpa") and not shop.get("scaledobject"))
    eventually("no TriggerAuthentication", lambda: not shop.get("triggerauthentication"))
    eventually("no activator", lambda: not any(activator(shop).values()))
    assert shop.get("service")["spec"]["selector"] == {AGENT_LABEL: "one"}
    running.idle()


def test_a_service_leads_to_the_activator_when_that_is_ready(shop: Shop, running: Operator):
    shop.agent(state=STATE, autoscaling=QUEUE | {"minReplicas": 1})
    eventually("KEDA is asked", lambda: condition(shop).get("reason") == "KedaNotReady")
    assert not any(activator(shop).values())
    shop.agent(state=STATE, autoscaling=QUEUE)
    eventually("an activator", lambda: all(activator(shop).values()))
    assert shop.get("service")["spec"]["selector"] == {AGENT_LABEL: "one"}
    activator_is_up(shop)
    eventually("it is behind the Service", lambda: shop.get("service")["spec"]["selector"] == {REACHED_LABEL: "one"})
    running.idle()
    shop.kubectl("delete", "agent", "one")
    # The garbage collector learns of new kinds, whose objects own others, every half minute.
    eventually("collected", lambda: not any(activator(shop).values()), seconds=120)


def test_zero_replicas_end_it(shop: Shop, running: Operator):
    shop.agent(state=STATE, autoscaling=QUEUE)
    eventually("KEDA is asked", lambda: condition(shop).get("reason") == "KedaNotReady")
    shop.kubectl("scale", "agent", "one", "--replicas=0")
    eventually("KEDA is let go", lambda: not shop.get("scaledobject"))
    eventually("no pods", lambda: shop.get("deployment")["spec"]["replicas"] == 0)
    eventually("nothing is told of it", lambda: not condition(shop))
    running.idle()
    shop.kubectl("scale", "agent", "one", "--replicas=1")
    eventually("KEDA is asked again", lambda: shop.get("scaledobject"))
    eventually("a pod", lambda: shop.get("deployment")["spec"]["replicas"] == 1)
