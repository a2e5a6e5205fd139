"""The promise of the bare cluster to the machine it runs on: its pods reach nothing beyond."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cluster.bare import Bare
from cluster.errors import ClusterError
from cluster.installation import Installation
from cluster.machine import run
from cluster.progress import wait_until
from e2e.support import pods
from e2e.support.operator import Operator
from e2e.support.space import Space
from e2e.support.waiting import until

_NAMESPACE, _LINK = "apm-outside", "apm-outside0"
_HERE, _THERE, _PORT = "10.213.0.1", "10.213.0.2", 8099


@pytest.fixture
def outside() -> Iterator[None]:
    """A server beyond a device that is not the pods' bridge; this machine reaches it."""
    within = ["ip", "netns", "exec", _NAMESPACE]
    _remove()  # a run that was killed leaves it
    run(["ip", "netns", "add", _NAMESPACE])
    try:
        run(["ip", "link", "add", _LINK, "type", "veth", "peer", "name", "eth0", "netns", _NAMESPACE])
        run(["ip", "address", "add", f"{_HERE}/30", "dev", _LINK])
        run(["ip", "link", "set", _LINK, "up"])
        run([*within, "ip", "address", "add", f"{_THERE}/30", "dev", "eth0"])
        run([*within, "ip", "link", "set", "eth0", "up"])
        run([*within, "ip", "route", "add", "default", "via", _HERE])
        command = [*within, sys.executable, "-m", "http.server", str(_PORT), f"--bind={_THERE}"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                wait_until("the server outside", _reached, seconds=20)
                yield
            finally:
                server.kill()
    finally:
        _remove()


def _remove() -> None:
    run(["ip", "link", "delete", _LINK], check=False)
    run(["ip", "netns", "delete", _NAMESPACE], check=False)


def _reached() -> bool:
    try:
        with socket.create_connection((_THERE, _PORT), timeout=1):
            return True
    except OSError:
        return False


@pytest.mark.usefixtures("outside")
def test_pods_reach_nothing_beyond_the_machine(cluster: Installation, space: Space):
    if not isinstance(cluster.cluster, Bare):
        pytest.skip("an engine's own network is its user's business")
    image = Operator(cluster).runtime_image()
    space.apply(pods.python("walker", image), pods.python("inside", image, pods.LISTEN), pods.service("inside"))
    space.kubectl("wait", "--for=condition=Ready", "pod/walker", "pod/inside", "--timeout=60s")

    def refusal(host: str, port: int) -> str:
        script = f"import socket; socket.create_connection(({host!r}, {port}), timeout=3)"
        try:
            space.kubectl("exec", "walker", "--", "python3", "-c", script)
        except ClusterError as error:
            return str(error)
        return ""

    # The node may know a new Service a moment later than its pod is ready.
    until("a way to the pod inside", lambda: refusal("inside", 80), lambda told: not told, seconds=15)
    assert "timed out" in refusal(_THERE, _PORT)
