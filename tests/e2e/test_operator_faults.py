"""The operator is hurt; the agents end as their specs say, and nothing is there twice."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.installation import Installation
from e2e.support.manifests import agent, mongodb
from e2e.support.operator import Operator
from e2e.support.signals import Signals, sender
from e2e.support.space import Space
from e2e.support.traffic import traffic, wait_for_answers
from e2e.support.waiting import until

_AGENTS = int(os.environ.get("APM_E2E_AGENTS") or ("30" if os.environ.get("APM_SOAK") else "6"))
_KILLS = int(os.environ.get("APM_E2E_KILLS") or ("5" if os.environ.get("APM_SOAK") else "2"))
_HAND_OVER_SECONDS = 15.0
_BACKOFF = 330.0
"""The kubelet waits up to 5 minutes before it starts a container again that ends time after time."""
_CONFIG_HASH = "apm.valeo-neuroerp.com/config-hash"
_CHILDREN = ("deployments", "services", "serviceaccounts", "configmaps", "poddisruptionbudgets")


@pytest.fixture(scope="module")
def operator(cluster: Installation) -> Operator:
    return Operator(cluster)


@pytest.fixture(scope="module")
def signals(operator: Operator) -> Iterator[Signals]:
    with sender(operator.cluster, operator.runtime_image()) as signals:
        yield signals


@pytest.fixture
def single(operator: Operator) -> Iterator[None]:
    """Leaves the operator with one replica whatever the test did."""
    yield
    operator.scale(1)


@pytest.fixture(scope="module")
def pair(operator: Operator) -> Iterator[None]:
    """A leader and a stand-by."""
    operator.scale(2)
    yield
    operator.scale(1)


@pytest.mark.timeout(600 + 60 * _AGENTS)
def test_the_operator_is_killed_in_the_middle_of_roll_outs(space: Space, operator: Operator, signals: Signals) -> None:
    names = [f"agent-{number}" for number in range(_AGENTS)]
    for kill in range(_KILLS):
        pod = operator.wait_for_leader()
        started = operator.restarts()
        before = _configs(space)
        space.apply(*(agent(name, reply=f"version {kill}") for name in names))
        reached = until(
            "the roll-out under way",
            lambda before=before: _configs(space).items() - before.items(),
            len,
            seconds=30,
            every=0,
        )
        print(f"killed when {len(reached)} of {len(names)} Deployments were changed")  # noqa: T201
        signals.send(operator.container(pod), signal.SIGKILL)
        until("the operator's new start", operator.restarts, lambda count, old=started: count > old, seconds=_BACKOFF)
    space.ready(*names, seconds=60 + 10 * _AGENTS)

    for name in names:
        _check_nothing_is_there_twice(space, name)


def _check_children(space: Space, name: str, *budgets: str) -> None:
    """One child of each kind, and these disruption budgets."""
    config = f"{name}-{space.get('agentdeployment', name)['status']['configHash']}"
    config_maps = sorted((config, f"{name}-trust"))
    wanted = {kind: [name] for kind in _CHILDREN} | {"configmaps": config_maps, "poddisruptionbudgets": [*budgets]}
    until(
        f"one child of each kind of {name}",
        lambda: {kind: space.names(kind, name) for kind in _CHILDREN},
        lambda found: found == wanted,
        seconds=90,
    )


def _check_nothing_is_there_twice(space: Space, name: str) -> None:
    _check_children(space, name)
    assert len(space.pods(name)) == 1
    assert len([each for each in space.all("replicasets", name) if each["spec"]["replicas"]]) == 1
    # Each version of the spec was rolled out once at most.
    revision = space.get("deployment", name)["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
    assert int(revision) <= _KILLS


def _configs(space: Space) -> dict[str, str]:
    """The version of the config that each Deployment asks for."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["annotations"][_CONFIG_HASH]
        for each in space.all("deployments")
    }


def test_the_api_server_is_restarted(space: Space, operator: Operator) -> None:
    def busy(reply: str) -> dict[str, Any]:
        return agent("busy", reply=reply, replicas=2, state=mongodb())

    space.apply(busy("before"), agent("bystander"))
    space.ready("busy", "bystander")
    untouched = [pod["metadata"]["uid"] for pod in space.pods("bystander")]
    with traffic(space, "busy", operator.runtime_image()) as report:
        wait_for_answers(space, 10)
        operator.cluster.cluster.restart_api_server()
        space.apply(busy("after"), agent("made"))
        space.ready("busy", "made", seconds=_BACKOFF)
        wait_for_answers(space, 10)
    assert report.errors == []
    assert set(report.answers) == {"before", "after"}
    for name, pods, revision in (("busy", 2, "2"), ("bystander", 1, "1"), ("made", 1, "1")):
        until(f"{pods} pods of {name}", lambda name=name: len(space.pods(name)), lambda n, p=pods: n == p, seconds=90)
        _check_children(space, name, *(["busy"] if name == "busy" else []))
        annotations = space.get("deployment", name)["metadata"]["annotations"]
        assert annotations["deployment.kubernetes.io/revision"] == revision, "rolled out once for each edit"
    assert [pod["metadata"]["uid"] for pod in space.pods("bystander")] == untouched


@pytest.mark.usefixtures("single")
def test_an_agent_deleted_while_the_operator_is_away_is_gone_for_good(space: Space, operator: Operator) -> None:
    space.apply(agent("leaving"), agent("staying"))
    space.ready("leaving", "staying")
    operator.scale(0)
    space.kubectl("delete", "agentdeployment", "leaving", "--timeout=30s")
    for kind in (*_CHILDREN, "pods"):
        space.until_gone(kind, "leaving")

    operator.scale(1)
    space.apply(agent("later"))
    space.ready("later")
    assert {kind: space.names(kind, "leaving") for kind in _CHILDREN} == {kind: [] for kind in _CHILDREN}
    assert space.names("deployments") == ["later", "staying"]


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
def test_the_stand_by_takes_over_within_15_seconds(
    space: Space, operator: Operator, signals: Signals, number: signal.Signals, record_property
) -> None:
    operator.wait_until_complete()
    first = operator.wait_for_leader()
    container = operator.container(first)
    signals.send(container, number)
    began = time.monotonic()  # the pod that sends it takes its time before
    if number is signal.SIGKILL:
        operator.delete(first)  # else the kubelet starts it anew, under the same name
    second = until("another leader", operator.leader, lambda holder: holder not in {"", first}, seconds=30)
    took = time.monotonic() - began
    print(f"hand-over after {number.name}: {took:.1f} s")  # noqa: T201
    record_property("hand_over_seconds", round(took, 1))
    assert took <= _HAND_OVER_SECONDS

    space.apply(agent("orphan"))
    space.ready("orphan")
    if number is signal.SIGSTOP:
        signals.send(container, signal.SIGCONT)
        space.apply(agent("orphan", reply="still led by one"))
        space.ready("orphan")
        assert operator.leader() == second
