"""How fast the operator turns AgentDeployments into their children, and what that costs each process involved.

A real API server and etcd on this machine; no kubelet and, unless `--controllers` asks for it, no controller manager.
The operator and the load prove who they are by ServiceAccount tokens, as pods do. Twenty clients create the agents;
then every spec is changed; then the operator is restarted with nothing to do. What is waited for is learned from one
agent before each round: every child that it had made or changed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import uvloop

from apm_operator.kinds import AGENT_LABEL, AGENTS
from bench.api import Api, until
from bench.children import KINDS, Children, agent_name
from bench.operator_process import OperatorProcess, running_operator
from bench.process import cpu_seconds
from cluster import crds, kubeconfig
from cluster.controlplane import LEAN_CONTROLLERS, ControlPlane, Options
from cluster.instances import control_plane

NAMESPACE = "bench"
OPERATOR_NAMESPACE = "apm-system"
AGENTS_PATH = AGENTS.path(NAMESPACE)
SETTLED_SECONDS = 3.0
STATUS = ("patch-status", AGENTS.kind)


def agent(name: str, *, tls: bool) -> dict[str, Any]:
    """A small agent without a model server."""
    serving = {"tls": {"mode": "Enabled"}} if tls else {"tls": {"mode": "Disabled"}, "auth": {"anonymous": True}}
    return {
        "apiVersion": AGENTS.api_version,
        "kind": AGENTS.kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "description": "first",
            "models": [{"name": "default", "provider": "scripted", "script": [{"reply": "hello"}]}],
            "workflow": {"start": "answer", "nodes": [{"name": "answer", "uses": "model", "next": "end"}]},
            **serving,
        },
    }


def requests(api: Api, names: list[str], *, tls: bool, change: bool) -> dict[str, bytes]:
    """What makes each agent, or changes its spec."""
    if change:
        body = json.dumps({"spec": {"description": "changed"}}).encode()
        return {
            name: api.request("PATCH", f"{AGENTS_PATH}/{name}", body, "application/merge-patch+json") for name in names
        }
    bodies = {name: json.dumps(agent(name, tls=tls)).encode() for name in names}
    return {name: api.request("POST", AGENTS_PATH, body) for name, body in bodies.items()}


@dataclass(frozen=True)
class Use:
    """What had been used at one moment: CPU seconds by process; the operator's API writes and memory in MiB."""

    cpu: dict[str, float]
    writes: Counter[tuple[str, str]]
    rss: float


@dataclass(frozen=True)
class Bench:
    """What the rounds share."""

    plane: ControlPlane
    api: Api
    children: Children
    operator: OperatorProcess
    clients: int
    tls: bool

    async def round(self, count: int, *, change: bool) -> dict[str, Any]:
        """Let all agents be made or changed, after one that shows what that touches; its figures."""
        await self._play([agent_name(count)], Counter(), change=change)
        touched = Counter(kind for kind, _ in self.children.times[agent_name(count)])
        before = self._use()
        names = [agent_name(number) for number in range(count)]
        began, sent = await self._play(names, touched, change=change)
        cores = (sum(self._cpu().values()) - sum(before.cpu.values())) / (time.monotonic() - began)
        told = await asyncio.to_thread(self._until_told, before.writes[STATUS] + count) - began
        await self.quiet()
        after = self._use()
        # Only now are all of them seen in full: a status that is missing would be seen by nobody else.
        self._check_statuses(2 if change else 1)
        done = {name: max(self.children.times[name].values()) for name in names}
        wall = max(done.values()) - began
        cut = quantiles([done[name] - sent[name] for name in names], n=100)
        writes = Counter(after.writes)
        writes.subtract(before.writes)
        return {
            "round": "change" if change else "create",
            "agents": count,
            "children_per_agent": self.children.per_agent(),
            "seconds": round(wall, 2),
            "seconds_with_statuses": round(told, 2),
            "agents_per_second": round(count / wall, 1),
            "cores_used": round(cores, 2),
            "lag_p50_ms": round(cut[49] * 1000),
            "lag_p99_ms": round(cut[98] * 1000),
            "cpu_ms_per_agent": {
                name: round((after.cpu[name] - seconds) / count * 1000, 2) for name, seconds in before.cpu.items()
            },
            "writes_per_agent": {
                f"{verb} {kind}": round(number / count, 3) for (verb, kind), number in sorted(writes.items()) if number
            },
            "rss_mib": round(after.rss, 1),
        }

    async def _play(self, names: list[str], wanted: Counter[str], *, change: bool) -> tuple[float, dict[str, float]]:
        """Send the requests, wait for the children and for quiet; when it began, and when each was sent."""
        self.children.begin(wanted)
        waiting = iter(requests(self.api, names, tls=self.tls, change=change).items())
        sent: dict[str, float] = {}
        connections = [await self.api.connect() for _ in range(self.clients)]

        async def client(number: int) -> None:
            for name, request in waiting:
                sent[name] = time.monotonic()
                await connections[number].call(request)

        began = time.monotonic()
        await asyncio.gather(*(client(number) for number in range(self.clients)))
        if wanted:
            await until(lambda: self.children.complete >= len(names), 300, "children")
        else:
            await until(lambda: self.children.last >= began, 60, "the first child")
            await self.quiet()
        for connection in connections:
            connection.writer.close()
        return began, sent

    def _until_told(self, statuses: int) -> float:
        """Wait until the operator has written so many statuses in all; when that was."""
        deadline = time.monotonic() + 300
        while self.operator.usage().writes[STATUS] < statuses:
            if time.monotonic() > deadline:
                raise SystemExit("statuses: not within 300 s")
            time.sleep(0.5)
        return time.monotonic()

    async def quiet(self) -> None:
        """Wait until no child changes any more."""
        await until(lambda: time.monotonic() - self.children.last > SETTLED_SECONDS, 300, "quiet")

    def _use(self) -> Use:
        own = self.operator.usage()
        return Use(self._cpu(), own.writes, own.rss)

    def _cpu(self) -> dict[str, float]:
        processes = self.plane.processes
        pids = {name: pid for name in processes.names() if (pid := processes.pid(name)) is not None}
        pids |= {"operator": self.operator.pid, "bench": os.getpid()}
        return {name: cpu_seconds(pid) for name, pid in sorted(pids.items())}

    def _check_statuses(self, generation: int) -> None:
        path = "--output=jsonpath={.items[*].status.observedGeneration}"
        told = Counter(self.plane.kubectl("get", AGENTS.plural, f"--namespace={NAMESPACE}", path).split())
        if told.keys() != {str(generation)}:
            raise SystemExit(f"statuses: expected every agent's observedGeneration to be {generation}, found {told}")


async def measure(plane: ControlPlane, folder: Path, *, count: int, clients: int, tls: bool) -> None:
    """All three rounds; prints one JSON object for each."""
    account = account_kubeconfig(plane, folder)
    log = folder / "operator.log"
    api, children = Api.read(account), Children()

    def watch(kind: str, path: str) -> asyncio.Task[None]:
        return asyncio.create_task(api.watch(path, AGENT_LABEL, lambda event, now: children.see(kind, event, now)))

    watches = [watch(resource.kind, resource.path(NAMESPACE)) for resource in KINDS]
    try:
        with running_operator(account, log) as operator:
            bench = Bench(plane, api, children, operator, clients, tls)
            for change in (False, True):
                print(json.dumps(await bench.round(count, change=change)), flush=True)
        with running_operator(account, log) as operator:
            children.last = time.monotonic()
            await asyncio.to_thread(_until_read, operator, count)
            await Bench(plane, api, children, operator, clients, tls).quiet()
            usage = operator.usage()
            report = {
                "round": "restart",
                "agents": count,
                "writes": usage.writes.total(),
                "cpu_seconds": round(usage.cpu, 2),
                "rss_mib": round(usage.rss, 1),
            }
            print(json.dumps(report), flush=True)
    finally:
        for each in watches:
            each.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        if text := log.read_text():
            print(text[-2000:], file=sys.stderr)


def account_kubeconfig(plane: ControlPlane, folder: Path) -> Path:
    """A kubeconfig with the token of a ServiceAccount that may do everything: rights are not what is measured."""
    for namespace in (NAMESPACE, OPERATOR_NAMESPACE):
        plane.kubectl("create", "namespace", namespace)
    plane.kubectl("create", "serviceaccount", "bench", f"--namespace={NAMESPACE}")
    account = f"--serviceaccount={NAMESPACE}:bench"
    plane.kubectl("create", "clusterrolebinding", "bench", "--clusterrole=cluster-admin", account)
    token = plane.kubectl("create", "token", "bench", f"--namespace={NAMESPACE}").strip()
    authority = plane.pki.authority.pair.certificate
    return kubeconfig.write(folder / "kubeconfig", server=plane.url, authority=authority, client=token)


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
    parser.add_argument("--controllers", action="store_true", help="run kube-controller-manager: garbage collection")
    parser.add_argument("--tls", action="store_true", help="agents with certificates: three children more")
    options = parser.parse_args()
    controllers = LEAN_CONTROLLERS if options.controllers else ()
    with control_plane(Options(controllers=controllers)) as plane, tempfile.TemporaryDirectory() as folder:
        crds.install(plane)
        uvloop.run(measure(plane, Path(folder), count=options.agents, clients=options.clients, tls=options.tls))


if __name__ == "__main__":
    main()
