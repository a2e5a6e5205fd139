"""A node is drained under load: cordoned, and its pods evicted. No call fails and no run is lost.

The cluster has one node, so that no replacement can start while it is cordoned: that shows that the second pod stays.
Once the node is open again the drain goes on, and replacements take over. A second node would change where they start.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cluster.errors import ClusterError
from e2e.support.manifests import agent, mongodb
from e2e.support.operator import Operator
from e2e.support.space import Space
from e2e.support.traffic import traffic, wait_for_answers
from e2e.support.waiting import until

_WAYS = ("wait", "stream", "background")


@contextmanager
def _cordoned(space: Space) -> Iterator[None]:
    nodes = space.cluster.kubectl("get", "nodes", "--output=name").split()
    try:
        space.cluster.kubectl("cordon", *nodes)
        yield
    finally:
        space.cluster.kubectl("uncordon", *nodes)


def _evict(space: Space, pod: str) -> str:
    """Ask for an eviction, as `kubectl drain` does; "" where it is granted, else why it is not."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": space.name}}
    path = f"/api/v1/namespaces/{space.name}/pods/{pod}/eviction"
    try:
        space.kubectl("create", "--raw", path, "--filename=-", stdin=json.dumps(body))
    except ClusterError as error:
        return str(error)
    return ""


def _three_nodes() -> dict[str, Any]:
    nodes = [{"name": f"n{at}", "uses": "model", "next": f"n{at + 1}"} for at in range(3)]
    nodes[-1]["next"] = "end"
    return {"start": "n0", "nodes": nodes}


def test_a_drain_of_the_node_loses_nothing(space: Space) -> None:
    slow = {"name": "default", "provider": "scripted", "script": [{"reply": "done", "delay": "350ms"}]}
    space.apply(agent("desk", models=[slow], workflow=_three_nodes(), replicas=2, state=mongodb()))
    space.ready("desk")
    first, second = sorted(pod["metadata"]["name"] for pod in space.pods("desk"))
    with traffic(space, "desk", Operator(space.cluster).runtime_image(), _WAYS) as report:
        wait_for_answers(space, 10)
        with _cordoned(space):
            assert _evict(space, first) == ""
            wait_for_answers(space, 5)
            assert "disruption budget" in _evict(space, second)
            wait_for_answers(space, 10)
        until("the second pod may go", lambda: _evict(space, second), lambda refusal: not refusal, seconds=120)
        wait_for_answers(space, 5)
        space.ready("desk", seconds=120)
        left = {pod["metadata"]["name"] for pod in space.pods("desk")}
        wait_for_answers(space, 10)
    print(f"{sum(report.answers.values())} answers, {len(report.errors)} errors")  # noqa: T201
    assert not left & {first, second}
    assert report.errors == []
    assert set(report.answers) == {"done"}
    assert set(report.ways) == set(_WAYS)
