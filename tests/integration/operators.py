"""Operators as processes of their own, and the agents that the tests give them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from cluster.settings import REPOSITORY

HOME = "default"
"""Where the operators keep their leases and authorities, each by the name of the namespace that it serves."""
READ_VERBS = {"get", "list", "discover"}


def eventually(what: str, check: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Poll until `check` gives something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)
    return found


@dataclass
class Operator:
    """A running operator; `log` is a file of JSON lines."""

    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged, without a line that is being written."""
        *whole, _ = self.log.read_text().split("\n")
        return [json.loads(line) for line in whole if line.startswith("{")]

    @property
    def url(self) -> str:
        """Where it serves its health and metrics."""

        def port() -> int | None:
            assert self.process.poll() is None, self.log.read_text()
            return next((line["port"] for line in self.lines() if line["event"] == "started"), None)

        return f"http://127.0.0.1:{eventually('the operator listens', port)}"

    def answers(self, path: str) -> bool:
        """Whether a probe succeeds."""
        return httpx.get(self.url + path).status_code == 200

    def samples(self) -> list[Sample]:
        """All of its metrics, of one moment."""
        families = text_string_to_metric_families(httpx.get(f"{self.url}/metrics").text)
        return [sample for family in families for sample in family.samples]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        return _sum(self.samples(), name, **labels)

    def deaf(self) -> float:
        """Seconds since the last sign of life of the watch that has been silent for the longest time."""
        return max(sample.value for sample in self.samples() if sample.name == "apm_watch_age_seconds")

    def calls(self) -> dict[tuple[str, str], int]:
        """The writes so far by verb and kind, without the lease's."""
        found: dict[tuple[str, str], int] = {}
        for sample in self.samples():
            if sample.name == "apm_api_calls_total":
                at = sample.labels["verb"], sample.labels["kind"]
                if at[0] not in READ_VERBS and at[1] != "Lease":
                    found[at] = found.get(at, 0) + int(sample.value)
        return found

    def ready(self) -> None:
        """Wait until it has seen everything and every watch is open."""
        eventually("the operator is ready", lambda: self.answers("/readyz"))

    def idle(self) -> None:
        """Wait until it has made a pass, makes none, and no agent waits for one."""
        self.ready()
        eventually("the operator has nothing to do", self._rests)

    def _rests(self) -> bool:
        now = self.samples()
        under_way = _sum(now, "apm_queue_depth") + _sum(now, "apm_reconciles_active")
        return _sum(now, "apm_reconciles_total") > 0 and not under_way

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait, and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)


def _sum(samples: Iterable[Sample], name: str, **labels: str) -> float:
    return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())


PLAIN = {"tls": {"mode": "Disabled"}, "auth": {"anonymous": True}}


@contextmanager
def operator(kubeconfig: Path, namespace: str, log: Path, **settings: str) -> Iterator[Operator]:
    """An operator that serves one namespace; ended with the block."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "KUBECONFIG": str(kubeconfig),
        "APM_WATCH_NAMESPACES": namespace,
        "APM_NAME": namespace,
        "APM_OPERATOR_NAMESPACE": HOME,
        "APM_LEADER_ELECTION": "false",
        "APM_HTTP_HOST": "127.0.0.1",
        "APM_HTTP_PORT": "0",
        "APM_HTTPS_PORT": "0",
        "APM_RUNTIME_IMAGE": "registry.example/agent:1",
        "APM_SECRET_POLL_SECONDS": "0.3",
        **settings,
    }
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-m", "apm_operator"], env=environment, stderr=output)
    try:
        yield Operator(process, log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def agent(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    """An AgentDeployment with a scripted model, which speaks plain HTTP."""
    model = {"name": "default", "provider": "scripted", "script": [{"reply": "Hello"}]}
    node = {"name": "answer", "uses": "model", "with": {"prompt": "Hello."}, "next": "end"}
    return {
        "apiVersion": "apm.valeo-neuroerp.com/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"models": [model], "workflow": {"start": "answer", "nodes": [node]}, **PLAIN} | spec,
    }
