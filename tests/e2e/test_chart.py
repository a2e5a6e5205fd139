"""The life of a Helm release, with an agent that runs all the while. The last test file: it takes the operator away."""

from collections.abc import Iterator

import pytest

from cluster.installation import OPERATOR_NAMESPACE, RELEASE, Installation
from e2e.support.manifests import agent
from e2e.support.operator import Operator
from e2e.support.space import Space, say

_WITHIN = f"--namespace={OPERATOR_NAMESPACE}"
_CRD = "agentdeployments.apm.valeo-neuroerp.com"


@pytest.fixture(autouse=True)
def installed(cluster: Installation) -> Iterator[None]:
    """Leaves the operator installed as it was found."""
    yield
    cluster.ensure_operator()


def test_helm_test_passes(cluster: Installation) -> None:
    shown = cluster.helm("test", RELEASE, _WITHIN, "--timeout=3m")
    assert "Succeeded" in shown


def test_an_upgrade_with_other_values_leaves_the_agents_alone(space: Space) -> None:
    uid = _start(space)
    operator = Operator(space.cluster)
    before = {pod["metadata"]["uid"] for pod in operator.pods()}

    space.cluster.ensure_operator("logLevel=debug", "resyncPeriod=60")

    operator.wait_for_leader()
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in operator.pods())
    space.apply(agent("new"))
    space.ready("new", "kept")
    assert [pod["metadata"]["uid"] for pod in space.pods("kept")] == [uid]


def test_an_uninstall_keeps_the_agents_and_a_new_install_takes_them_over(space: Space) -> None:
    uid = _start(space)

    space.cluster.helm("uninstall", RELEASE, _WITHIN, "--wait", "--timeout=2m")

    assert space.cluster.kubectl("get", "crd", _CRD, "--output=name")
    assert [pod["metadata"]["uid"] for pod in space.pods("kept")] == [uid]
    with space.client("kept") as client:
        assert say(client, None, "Hello") == "You said: Hello"

    space.cluster.ensure_operator()
    space.apply(agent("new"))
    space.ready("new", "kept")
    assert [pod["metadata"]["uid"] for pod in space.pods("kept")] == [uid]
    assert space.get("deployment", "kept")["metadata"]["generation"] == 1


def _start(space: Space) -> str:
    """Have an agent run; the uid of its pod."""
    space.apply(agent("kept"))
    space.ready("kept")
    (pod,) = space.pods("kept")
    return str(pod["metadata"]["uid"])
