"""Clients that keep asking an agent from inside of the cluster, through its Service."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from e2e.support.manifests import TRAFFIC
from e2e.support.space import Space
from e2e.support.waiting import until

_POD = "traffic"
_STOP = "open('/tmp/stop', 'w').close()"
_COUNT = "import os; print(open('/tmp/count').read() if os.path.exists('/tmp/count') else 0)"
# One client keeps its connection and one makes a new one for each request; neither tries anything twice.
_CLIENTS = """
import asyncio, collections, json, os, sys, httpx
BODY = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "ping"}]}}
answers, errors = collections.Counter(), []

async def ask(http):
    try:
        answer = await http.post(sys.argv[1] + "/runs/wait", json=BODY)
        answer.raise_for_status()
        answers[answer.json()["messages"][-1]["content"]] += 1
    except Exception as error:
        errors.append(f"{type(error).__name__}: {error}")
    with open("/tmp/count.new", "w") as file:
        file.write(str(answers.total()))
    os.replace("/tmp/count.new", "/tmp/count")
    await asyncio.sleep(0.02)

async def keep_connection():
    async with httpx.AsyncClient(timeout=30) as http:
        while not os.path.exists("/tmp/stop"):
            await ask(http)

async def connect_anew():
    while not os.path.exists("/tmp/stop"):
        async with httpx.AsyncClient(timeout=30) as http:
            await ask(http)

async def main():
    await asyncio.gather(keep_connection(), connect_anew())

asyncio.run(main())
print(json.dumps({"answers": answers, "errors": errors}))
"""


@dataclass
class Report:
    """What the clients got.

    Attributes:
        answers: how often each text was answered.
        errors: what failed, one line each.
    """

    answers: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


@contextmanager
def traffic(space: Space, agent: str, image: str) -> Iterator[Report]:
    """Clients that ask `agent` for as long as the context lasts; the report is filled at its end."""
    report = Report()
    space.apply(_pod(f"http://{agent}.{space.name}.svc:8080", image))
    space.kubectl("wait", "--for=condition=Ready", f"pod/{_POD}", "--timeout=60s")
    wait_for_answers(space, 1)
    yield report
    space.kubectl("exec", _POD, "--", "python3", "-c", _STOP)
    space.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{_POD}", "--timeout=60s")
    found = json.loads(space.kubectl("logs", _POD))
    report.answers, report.errors = found["answers"], found["errors"]


def wait_for_answers(space: Space, more: int) -> None:
    """Wait until the clients got this many answers more."""

    def count() -> int:
        return int(space.kubectl("exec", _POD, "--", "python3", "-c", _COUNT))

    goal = count() + more
    until("answers to the clients", count, lambda seen: seen >= goal, seconds=60)


def _pod(url: str, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _POD, "labels": TRAFFIC},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "clients",
                    "image": image,
                    "command": ["python3", "-c", _CLIENTS, url],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
