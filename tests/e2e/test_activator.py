"""A request to an agent without pods is held, wakes the agent and is answered; and the fence stays as it is."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.agents import PORT
from cluster.installation import Installation
from e2e.support import pods
from e2e.support.manifests import TRAFFIC, agent
from e2e.support.manifests import mongodb as in_mongodb
from e2e.support.operator import Operator
from e2e.support.scaling import condition, replicas, until_asleep
from e2e.support.space import Space, say
from e2e.support.waiting import until

pytestmark = [
    pytest.mark.usefixtures("with_keda"),
    pytest.mark.skipif(not os.environ.get("APM_SOAK"), reason="APM_SOAK is not set: it takes four minutes"),
    pytest.mark.timeout(900, func_only=True),
]

_LABEL = "apm.valeo-neuroerp.com/activator"
_SLEEPS = {"minReplicas": 0, "maxReplicas": 2, "targetQueueDepth": 4, "scaleDownStabilization": "10s"}
_WOKEN = 30
"""Most seconds from a request to its answer: KEDA looks every 5 s, and a pod takes about as long to start."""
_CONNECT = f"""
import socket
try:
    socket.create_connection(("HOST", {PORT}), timeout=3).close()
except OSError:
    print("closed")
else:
    print("open")
"""


@pytest.fixture
def elsewhere(cluster: Installation, space: Space) -> Iterator[Space]:
    made = Space(cluster, f"{space.name}-other")
    made.create()
    yield made
    made.remove()


def _desk() -> dict[str, Any]:
    """An agent that is always there, and asks bar."""
    ask = {"start": "ask", "nodes": [{"name": "ask", "uses": "agent", "with": {"ref": "bar"}}]}
    return agent("desk", workflow=ask)


def test_a_request_wakes_an_agent_and_is_answered(space: Space, elsewhere: Space) -> None:
    image = Operator(space.cluster).runtime_image()
    client = pods.python("client", image)
    client["metadata"]["labels"] |= TRAFFIC
    space.apply(_desk(), agent("bar", state=in_mongodb(), autoscaling=_SLEEPS), client, pods.python("stranger", image))
    elsewhere.apply(pods.python("visitor", image))
    space.ready("desk", "bar")
    until(
        "KEDA scales it",
        lambda: condition(space, "bar", "Autoscaling"),
        lambda found: found.get("reason") == "KedaReady",
        seconds=90,
    )
    times = {"to sleep": until_asleep(space, "bar")}
    space.kubectl("wait", "--for=condition=Ready", "pod/client", "pod/stranger", "--timeout=60s")
    elsewhere.kubectl("wait", "--for=condition=Ready", "pod/visitor", "--timeout=60s")
    reached = {
        "client": _reach(space, "client", space),
        "stranger": _reach(space, "stranger", space),
        "visitor": _reach(elsewhere, "visitor", space),
    }
    assert reached == {"client": "open", "stranger": "closed", "visitor": "closed"}
    assert replicas(space, "bar") == 0, "who says nothing wakes nobody"

    with space.client("bar") as bar:
        began = time.monotonic()
        assert say(bar, None, "Are you there?") == "You said: Are you there?"
        times["answer to the SDK"] = time.monotonic() - began
    times["asleep again"] = until_asleep(space, "bar")

    with space.client("desk") as desk:
        began = time.monotonic()
        assert say(desk, None, "Ask bar.") == "You said: Ask bar."
        times["answer to another agent"] = time.monotonic() - began
    times["and again"] = until_asleep(space, "bar")
    print({name: f"{seconds:.1f} s" for name, seconds in times.items()})  # noqa: T201
    assert max(times["answer to the SDK"], times["answer to another agent"]) < _WOKEN

    space.kubectl("delete", "agent", "bar")
    until("no activator", lambda: _activator(space), lambda found: not found, seconds=60)


def _reach(source: Space, pod: str, target: Space) -> str:
    """What becomes of a connection from a pod to `bar`."""
    script = _CONNECT.replace("HOST", f"bar.{target.name}.svc")
    return source.kubectl("exec", pod, "--", "python3", "-c", script).strip()


def _activator(space: Space) -> list[str]:
    """What there is of `bar`'s activator."""
    made = space.kubectl("get", "deployment,service,networkpolicy", "--output=name").split()
    running = space.kubectl("get", "pod", f"-l={_LABEL}", "--output=name").split()
    return [each for each in made if "/bar" in each] + running
