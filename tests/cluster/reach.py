"""Reaching Services of the cluster from this machine."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import gobuild
from cluster.errors import ClusterError


@contextmanager
def port_forward(kubeconfig: Path, namespace: str, service: str, port: int) -> Iterator[tuple[str, int]]:
    """Host and port on loopback that lead to one pod of a Service for as long as the context lasts.

    Raises:
        ClusterError: kubectl could not forward.
    """
    command = [str(gobuild.program("kubectl")), f"--kubeconfig={kubeconfig}", f"--namespace={namespace}"]
    command += ["port-forward", "--address=127.0.0.1", f"service/{service}", f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        try:
            line = child.stdout.readline() if child.stdout else ""
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if found is None:
                raise ClusterError(f"port-forward to {namespace}/{service}: {line.strip()}")
            yield "127.0.0.1", int(found[1])
        finally:
            child.terminate()
