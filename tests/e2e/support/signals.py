"""Signals to a container's processes from its node, where SIGKILL and SIGSTOP reach even the first one.

Inside of a container, the kernel keeps these two from process 1. A pod of the tests' own, in the node's
process namespace, sends them; it finds the processes by the id of the container in their cgroup.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.installation import Installation

_NAMESPACE = "apm-e2e-signals"
_POD = "sender"
_WITHIN = f"--namespace={_NAMESPACE}"
_SEND = """
import os, pathlib, sys
container, number = sys.argv[1], int(sys.argv[2])
hit = 0
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if container in (process / "cgroup").read_text():
            os.kill(int(process.name), number)
            hit += 1
    except (FileNotFoundError, ProcessLookupError):
        pass
sys.exit(0 if hit else f"no process of container {container}")
"""


@dataclass(frozen=True)
class Signals:
    """The sender."""

    cluster: Installation

    def send(self, container: str, number: signal.Signals) -> None:
        """Send a signal to every process of a container, given by its id."""
        self.cluster.kubectl("exec", _POD, _WITHIN, "--", "python3", "-c", _SEND, container, str(int(number)))


@contextmanager
def sender(cluster: Installation, image: str) -> Iterator[Signals]:
    """A sender for as long as the context lasts; `image` has python3."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _POD},
        "spec": {
            "hostPID": True,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "sender",
                    "image": image,
                    "command": ["python3", "-c", "import signal; signal.pause()"],
                    "securityContext": {"runAsUser": 0, "capabilities": {"drop": ["ALL"], "add": ["KILL"]}},
                }
            ],
        },
    }
    cluster.kubectl("create", "namespace", _NAMESPACE)
    try:
        cluster.kubectl("label", "namespace", _NAMESPACE, "pod-security.kubernetes.io/enforce=privileged")
        cluster.kubectl("apply", "--server-side", _WITHIN, "-f", "-", stdin=json.dumps(pod))
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{_POD}", _WITHIN, "--timeout=60s")
        yield Signals(cluster)
    finally:
        cluster.kubectl("delete", "namespace", _NAMESPACE, "--timeout=60s")
