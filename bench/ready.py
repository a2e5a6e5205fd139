"""Seconds from `kubectl apply` to Ready of one agent, with its image present, on the local cluster.

Needs the cluster and the installation that `make demo` leaves.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import time
from statistics import median

AGENT = """
apiVersion: apm.valeo-neuroerp.com/v1alpha1
kind: AgentDeployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  models: [{{name: default, provider: scripted, script: [{{reply: hello}}]}}]
  workflow: {{start: answer, nodes: [{{name: answer, uses: model, next: end}}]}}
"""


def kubectl(*arguments: str, stdin: str | None = None) -> None:
    """Run kubectl against the cluster of `KUBECONFIG`; its error ends the benchmark."""
    done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.strip())


def once(namespace: str) -> float:
    """Apply an agent, wait for Ready, remove it."""
    name = f"bench-{secrets.token_hex(3)}"
    begin = time.monotonic()
    kubectl("apply", "--filename=-", stdin=AGENT.format(name=name, namespace=namespace))
    try:
        kubectl("wait", "--namespace", namespace, "--for=condition=Ready", "--timeout=60s", f"agent/{name}")
        return time.monotonic() - begin
    finally:
        kubectl("delete", "--namespace", namespace, "--wait=true", f"agent/{name}")


def main() -> None:
    """Run it and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--namespace", default="valeo-neuroerp")
    options = parser.parse_args()
    times = [once(options.namespace) for _ in range(options.rounds)]
    print(
        json.dumps(
            {
                "apply_to_ready_seconds": {
                    "min": round(min(times), 2),
                    "median": round(median(times), 2),
                    "max": round(max(times), 2),
                }
            }
        )
    )


if __name__ == "__main__":
    main()
