"""What one agent pod's process costs: to start, to idle, and to run a graph of five nodes.

The state is in memory, so that the figures are the runtime's own and no database's; or with `--mongodb URI` in one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import httpx

from bench.process import cpu_seconds, memory, wakeups

ROOT = Path(__file__).parents[1]
NODES = 5


def config(*, mongodb: bool) -> dict[str, object]:
    """The config file of an agent with five nodes, one after the other."""
    nodes = [
        {"name": f"n{number}", "uses": "set", "with": {"values": {"count": "state.count + 1"}}}
        for number in range(NODES)
    ]
    for node, following in pairwise(nodes):
        node["next"] = following["name"]
    workflow = {"state": {"count": {"type": "integer", "default": 0}}, "start": "n0", "nodes": nodes}
    state = {"mongodb": {"uriSecretRef": {"name": "mongodb", "key": "uri"}, "database": "bench"}}
    return {
        "agent": {"name": "bench", "namespace": "bench"},
        "spec": {"auth": {"anonymous": True}, "workflow": workflow, **({"state": state} if mongodb else {})},
    }


def wait_until_ready(child: subprocess.Popen[bytes], url: str) -> None:
    """Poll `/readyz`; ends the benchmark when the runtime doesn't come up."""
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{url}/readyz", timeout=5, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        if child.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the runtime did not become ready")
        time.sleep(0.01)


async def load(url: str, *, runs: int, clients: int) -> float:
    """Seconds that stateless runs take, sent by parallel clients."""
    numbers = iter(range(runs))
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60, trust_env=False) as client:

        async def work() -> None:
            for _ in numbers:
                body = {"assistant_id": "agent", "input": {"count": 1}}
                answer = (await client.post("/runs/wait", json=body)).raise_for_status().json()
                assert answer["count"] == 1 + NODES, answer

        begin = time.monotonic()
        await asyncio.gather(*(work() for _ in range(clients)))
        return time.monotonic() - begin


def main() -> None:
    """Run it and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--mongodb", metavar="URI", help="keep the state there, in the database `bench`")
    parser.add_argument("--idle", type=float, default=0.0, help="seconds to wait before memory and wake-ups are read")
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "agent.json")
        file.write_text(json.dumps(config(mongodb=options.mongodb is not None)))
        secret = Path(folder, "mongodb", "uri")
        secret.parent.mkdir()
        secret.write_text(options.mongodb or "")
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "APM_CONFIG": str(file),
            "APM_SECRETS_DIR": folder,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "APM_LOG_LEVEL": "WARNING",
        }
        begin = time.monotonic()
        child = subprocess.Popen([sys.executable, "-m", "agent_runtime"], env=environment, cwd=folder)
        try:
            wait_until_ready(child, url)
            started, cpu = time.monotonic() - begin, cpu_seconds(child.pid)
            before = wakeups(child.pid)
            time.sleep(options.idle)
            idle, woken = memory(child.pid), wakeups(child.pid) - before
            seconds = asyncio.run(load(url, runs=options.runs, clients=options.clients))
            report = {
                "start_to_ready_seconds": round(started, 2),
                "start_cpu_seconds": round(cpu, 2),
                "state": "mongodb" if options.mongodb else "memory",
                "idle_mib": idle,
                "idle_wakeups_per_second": round(woken / options.idle, 1) if options.idle else None,
                "nodes": NODES,
                "runs": options.runs,
                "runs_per_second": round(options.runs / seconds, 1),
                "cpu_ms_per_run": round((cpu_seconds(child.pid) - cpu) / options.runs * 1000, 2),
                "after_mib": memory(child.pid),
            }
        finally:
            child.terminate()
            child.wait(70)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
