"""Who sets the number of pods, on a real API server: `kubectl scale` stands for the HorizontalPodAutoscaler."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster import gobuild
from cluster.controlplane import ControlPlane
from integration.operators import Operator, eventually, operator
from integration.shop import Shop

STATE = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}}
AUTOMATIC = {"minReplicas": 2, "maxReplicas": 8, "targetCPUUtilizationPercentage": 70}


class Space(Shop):
    """With what these tests ask of it."""

    def automatic(self, **spec: Any) -> None:
        self.agent(state=STATE, autoscaling=AUTOMATIC, **spec)

    def fixed(self, replicas: int) -> None:
        self.agent(state=STATE, replicas=replicas)

    def replicas(self) -> int | None:
        found: int | None = self.get("deployment").get("spec", {}).get("replicas")
        return found

    def has(self, replicas: int, *, autoscaler: bool) -> None:
        def as_wanted() -> bool:
            return self.replicas() == replicas and bool(self.get("hpa")) == autoscaler

        eventually(f"{replicas} replicas, autoscaler: {autoscaler}", as_wanted)

    def scale(self, replicas: int) -> None:
        """As a HorizontalPodAutoscaler does it."""
        self.kubectl("scale", "deployment", "one", f"--replicas={replicas}")

    @contextmanager
    def watched(self, log: Path) -> Iterator[Callable[[], set[str]]]:
        """Every number of replicas that the Deployment has within the block."""
        with log.open("wb") as output:
            shown = '-o=jsonpath={.spec.replicas}{"\\n"}'
            own = (f"--kubeconfig={self.plane.kubeconfig}", f"--namespace={self.namespace}")
            command = [str(gobuild.program("kubectl")), *own, "get", "deployment", "one", "--watch", shown]
            process = subprocess.Popen(command, stdout=output)
            try:
                eventually("the watch has begun", log.read_text)
                yield lambda: set(log.read_text().split())
            finally:
                process.kill()
                process.wait(10)


@pytest.fixture
def shop(control_plane: ControlPlane, namespace: str) -> Space:
    made = Space(control_plane, namespace)
    made.kubectl("create", "secret", "generic", "apm-mongodb", "--from-literal=uri=mongodb://x")
    return made


@pytest.fixture
def running(shop: Space, tmp_path: Path) -> Iterator[Operator]:
    with operator(shop.plane.kubeconfig, shop.namespace, tmp_path / "log") as started:
        started.ready()
        yield started


def test_a_new_agent_begins_with_the_fewest_pods(shop: Space, running: Operator):
    shop.automatic()
    shop.has(2, autoscaler=True)
    running.idle()
    condition = next(c for c in shop.get("agent")["status"]["conditions"] if c["type"] == "Autoscaling")
    assert (condition["status"], condition["reason"]) == ("Unknown", "Pending")


def test_the_change_to_automatic_and_back_leaves_the_pods_as_they_are(shop: Space, running: Operator, tmp_path: Path):
    shop.fixed(5)
    shop.has(5, autoscaler=False)
    with shop.watched(tmp_path / "seen") as seen:
        shop.automatic()
        shop.has(5, autoscaler=True)
        running.idle()
        shop.scale(7)
        shop.kubectl("annotate", "agent", "one", "apm.valeo-neuroerp.com/reconcile-at=1")
        eventually("seen", lambda: shop.get("agent")["status"].get("lastHandledReconcileAt") == "1")
        running.idle()
        shop.has(7, autoscaler=True)
        shop.automatic(priorityClassName="other")
        eventually("changed", lambda: shop.get("deployment")["spec"]["template"]["spec"].get("priorityClassName"))
        running.idle()
        shop.has(7, autoscaler=True)
        shop.fixed(3)
        shop.has(3, autoscaler=False)
        running.idle()
        eventually("all are seen", lambda: seen() >= {"5", "7", "3"})
        assert seen() == {"5", "7", "3"}


def test_the_operator_does_not_write_where_the_autoscaler_does(shop: Space, running: Operator):
    shop.automatic()
    shop.has(2, autoscaler=True)
    running.idle()
    before = running.calls()
    for number in (6, 3, 8):
        shop.scale(number)
        running.idle()
    assert shop.replicas() == 8
    after = running.calls()
    assert {at: number for at, number in after.items() if number != before.get(at, 0)} == {}


def test_zero_replicas_stop_an_agent_and_one_has_it_scaled_again(shop: Space, running: Operator):
    shop.automatic()
    shop.has(2, autoscaler=True)
    shop.scale(6)
    shop.kubectl("scale", "agent", "one", "--replicas=0")
    shop.has(0, autoscaler=False)
    running.idle()
    shop.kubectl("scale", "agent", "one", "--replicas=1")
    shop.has(2, autoscaler=True)
    running.idle()
    assert shop.replicas() == 2


def test_a_deployment_that_somebody_stops_begins_again(shop: Space, running: Operator):
    """A HorizontalPodAutoscaler leaves one alone that has no pods."""
    shop.automatic()
    shop.has(2, autoscaler=True)
    running.idle()
    shop.scale(0)
    shop.has(2, autoscaler=True)


def test_the_autoscaler_is_kept_as_the_spec_says(shop: Space, running: Operator):
    shop.automatic()
    shop.has(2, autoscaler=True)
    shop.kubectl("patch", "hpa", "one", "--type=merge", '--patch={"spec":{"maxReplicas":50}}')
    eventually("put right", lambda: shop.get("hpa")["spec"]["maxReplicas"] == 8)
    uid = shop.get("hpa")["metadata"]["uid"]
    shop.kubectl("delete", "hpa", "one")
    eventually("made anew", lambda: shop.get("hpa").get("metadata", {}).get("uid", uid) != uid)
    running.idle()
    before = running.calls()
    shop.kubectl("annotate", "agent", "one", "apm.valeo-neuroerp.com/reconcile-at=1")
    eventually("seen", lambda: shop.get("agent")["status"].get("lastHandledReconcileAt") == "1")
    running.idle()
    assert running.calls()["apply", "HorizontalPodAutoscaler"] == before["apply", "HorizontalPodAutoscaler"]


def test_a_suspended_agent_keeps_its_autoscaler(shop: Space, running: Operator):
    shop.automatic()
    shop.has(2, autoscaler=True)
    shop.agent(state=STATE, replicas=1, suspend=True)
    running.idle()
    shop.scale(4)
    running.idle()
    shop.has(4, autoscaler=True)


def test_without_keda_the_number_of_pods_stays_and_the_condition_says_why(shop: Space, running: Operator):
    shop.fixed(4)
    shop.has(4, autoscaler=False)
    shop.agent(state=STATE, autoscaling={"minReplicas": 0, "maxReplicas": 8, "targetQueueDepth": 5})

    def condition() -> dict[str, Any]:
        conditions = shop.get("agent")["status"]["conditions"]
        return next((each for each in conditions if each["type"] == "Autoscaling"), {})

    eventually("it is said", lambda: condition().get("reason") == "KedaMissing")
    running.idle()
    shop.has(4, autoscaler=False)
