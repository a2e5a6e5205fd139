"""How fast the operator turns AgentDeployments into their children, and what that costs.

A real API server and etcd on this machine, no kubelet. Twenty clients create the agents; then every spec is changed;
then the operator is restarted with nothing to do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

from bench.api import Api, until
from bench.operator_process import OperatorProcess, Usage, running_operator
from cluster import crds
from cluster.controlplane import ControlPlane
from cluster.instances import control_plane

AGENTS_PATH = "/apis/apm.valeo-neuroerp.com/v1alpha1/namespaces/bench/agentdeployments"
CHILD_PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/bench/deployments",
    "Service": "/api/v1/namespaces/bench/services",
    "ServiceAccount": "/api/v1/namespaces/bench/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/bench/configmaps",
}
AGENT_LABEL = "apm.valeo-neuroerp.com/agent"
SETTLED_SECONDS = 3.0


def agent(name: str, description: str) -> dict[str, Any]:
    """A small agent without a model server."""
    return {
        "apiVersion": "apm.valeo-neuroerp.com/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": name, "namespace": "bench"},
        "spec": {
            "description": description,
            "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "hello"}]}],
            "workflow": {"start": "answer", "nodes": [{"name": "answer", "uses": "model", "next": "end"}]},
        },
    }


@dataclass
class Seen:
    """When each agent's children were seen in the state of a round."""

    kinds: dict[str, dict[str, float]] = field(default_factory=dict)
    configs: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    last_event: float = 0.0

    def child(self, kind: str, event: dict[str, Any], now: float) -> None:
        """Note an event of a child."""
        name = event["object"].get("metadata", {}).get("labels", {}).get(AGENT_LABEL)
        if name is None or event["type"] not in ("ADDED", "MODIFIED"):
            return
        self.last_event = now
        self.kinds.setdefault(name, {}).setdefault(kind, now)

    def status(self, event: dict[str, Any], now: float) -> None:
        """Note the status of an agent."""
        if event["type"] in ("ADDED", "MODIFIED"):
            self.last_event = now
            observed = event["object"].get("status", {}).get("observedGeneration", 0)
            self.statuses[event["object"]["metadata"]["name"]] = observed

    def complete(self, wanted: set[str]) -> set[str]:
        """The agents of which each wanted kind of child was seen."""
        return {name for name, kinds in self.kinds.items() if wanted <= kinds.keys()}


@dataclass(frozen=True)
class Round:
    """Result of one round: seconds of each agent from the request to its last child, and the operator's use."""

    name: str
    lags: list[float]
    wall: float
    before: Usage
    after: Usage

    def report(self) -> dict[str, Any]:
        """The figures, per agent where that makes them comparable."""
        count = len(self.lags)
        cut = quantiles(self.lags, n=100)
        writes = Counter(self.after.writes)
        writes.subtract(self.before.writes)
        return {
            "round": self.name,
            "agents": count,
            "seconds": round(self.wall, 2),
            "agents_per_second": round(count / self.wall, 1),
            "lag_p50_ms": round(cut[49] * 1000),
            "lag_p99_ms": round(cut[98] * 1000),
            "cpu_ms_per_agent": round((self.after.cpu - self.before.cpu) / count * 1000, 2),
            "writes_per_agent": {
                f"{verb} {kind}": round(number / count, 3) for (verb, kind), number in sorted(writes.items()) if number
            },
            "rss_mib": round(self.after.rss, 1),
        }


async def play(api: Api, seen: Seen, operator: OperatorProcess, *, count: int, clients: int, change: bool) -> Round:
    """Create all agents, or change all of their specs, and wait until every child shows it."""
    seen.kinds.clear()
    names = iter([f"agent-{number:05d}" for number in range(count)])
    sent: dict[str, float] = {}
    before = operator.usage()
    # A changed description touches the configuration and, by its digest, the Deployment.
    wanted = {"ConfigMap", "Deployment"} if change else set(CHILD_PATHS)

    async def client() -> None:
        for name in names:
            sent[name] = time.monotonic()
            if change:
                body = {"spec": {"description": "changed"}}
                await api.call("PATCH", f"{AGENTS_PATH}/{name}", body, "application/merge-patch+json")
            else:
                await api.call("POST", AGENTS_PATH, agent(name, "first"))

    begin = time.monotonic()
    await asyncio.gather(*(client() for _ in range(clients)))
    generation = 2 if change else 1
    await until(lambda: len(seen.complete(wanted)) >= count, 300, "children")
    wall = time.monotonic() - begin
    await until(
        lambda: sum(1 for observed in seen.statuses.values() if observed >= generation) >= count, 300, "statuses"
    )
    await until(lambda: time.monotonic() - seen.last_event > SETTLED_SECONDS, 300, "quiet")
    lags = [max(seen.kinds[name][kind] for kind in wanted) - at for name, at in sent.items()]
    return Round("change" if change else "create", lags, wall, before, operator.usage())


async def measure(plane: ControlPlane, log: Path, *, count: int, clients: int) -> list[dict[str, Any]]:
    """All three rounds."""
    seen = Seen()
    reports = []
    async with Api(plane.kubeconfig) as api:
        watches = [
            asyncio.create_task(api.watch(path, lambda event, now, kind=kind: seen.child(kind, event, now)))
            for kind, path in CHILD_PATHS.items()
        ]
        watches.append(asyncio.create_task(api.watch(AGENTS_PATH, seen.status)))
        try:
            with running_operator(plane.kubeconfig, log) as operator:
                for change in (False, True):
                    done = await play(api, seen, operator, count=count, clients=clients, change=change)
                    reports.append(done.report())
            with running_operator(plane.kubeconfig, log) as operator:
                seen.last_event = time.monotonic()
                await asyncio.to_thread(_until_read, operator, count)
                await until(lambda: time.monotonic() - seen.last_event > SETTLED_SECONDS, 60, "quiet")
                usage = operator.usage()
                reports.append(
                    {
                        "round": "restart",
                        "agents": count,
                        "writes": sum(usage.writes.values()),
                        "cpu_seconds": round(usage.cpu, 2),
                        "rss_mib": round(usage.rss, 1),
                    }
                )
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
    return reports


def _until_read(operator: OperatorProcess, count: int) -> None:
    """Wait until the restarted operator has looked at every agent."""
    deadline = time.monotonic() + 120
    while operator.total("apm_reconciles_total") < count:
        if time.monotonic() > deadline:
            raise SystemExit("the restarted operator did not look at every agent within 120 s")
        time.sleep(0.2)


def main() -> None:
    """Run it and print one JSON object per round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=20)
    options = parser.parse_args()
    with control_plane() as plane, tempfile.TemporaryDirectory() as folder:
        crds.install(plane)
        plane.kubectl("create", "namespace", "bench")
        log = Path(folder, "operator.log")
        for report in asyncio.run(measure(plane, log, count=options.agents, clients=options.clients)):
            print(json.dumps(report))
        if text := log.read_text():
            print(text[-2000:], file=sys.stderr)


if __name__ == "__main__":
    main()
