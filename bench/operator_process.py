"""The operator as a process of this machine, beside the control plane that it serves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from bench.process import cpu_seconds, rss_mebibytes

ROOT = Path(__file__).parents[1]
_READS = ("get", "list", "watch", "discover")


@dataclass(frozen=True)
class Usage:
    """What the operator had used at one moment: CPU in seconds, memory in MiB, API writes by verb and kind."""

    cpu: float
    rss: float
    writes: Counter[tuple[str, str]]


@dataclass(frozen=True)
class OperatorProcess:
    """A running operator."""

    pid: int
    url: str

    def usage(self) -> Usage:
        """What it has used so far."""
        writes: Counter[tuple[str, str]] = Counter()
        for sample in self._samples("apm_api_calls_total"):
            if sample.labels["verb"].lower() not in _READS:
                writes[sample.labels["verb"], sample.labels["kind"]] += int(sample.value)
        return Usage(cpu_seconds(self.pid), rss_mebibytes(self.pid), writes)

    def total(self, name: str) -> float:
        """A counter of its `/metrics`, summed over all labels."""
        return sum(sample.value for sample in self._samples(name))

    def _samples(self, name: str) -> Iterator[Sample]:
        text = httpx.get(f"{self.url}/metrics", timeout=30, trust_env=False).raise_for_status().text
        for family in text_string_to_metric_families(text):
            yield from (sample for sample in family.samples if sample.name == name)

    def ready(self) -> bool:
        """Whether it says that it works."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False


@contextmanager
def running_operator(kubeconfig: Path, log: Path) -> Iterator[OperatorProcess]:
    """Start the operator against an API server, and end it afterwards."""
    port = _free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}",
        "KUBECONFIG": str(kubeconfig),
        "APM_HTTP_HOST": "127.0.0.1",
        "APM_HTTP_PORT": str(port),
        "APM_HTTPS_PORT": "0",
        "APM_LEADER_ELECTION": "false",
        "APM_RUNTIME_IMAGE": "bench.local/agent-runtime:1",
        "APM_LOG_LEVEL": "WARNING",
    }
    with log.open("ab") as output:
        child = subprocess.Popen([sys.executable, "-m", "apm_operator"], env=environment, stdout=output, stderr=output)
    operator = OperatorProcess(child.pid, f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + 180
        while not operator.ready():
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the operator did not start; its log is {log}")
            time.sleep(0.05)
        yield operator
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
