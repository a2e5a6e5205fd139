"""Clients that keep asking an agent from inside of the cluster, through its Service."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cluster.agents import CALLERS, PORT
from e2e.support.manifests import TRAFFIC
from e2e.support.space import Space
from e2e.support.waiting import until

_POD = "traffic"
_STOP = "open('/tmp/stop', 'w').close()"
_COUNT = "import os; print(open('/tmp/count').read() if os.path.exists('/tmp/count') else 0)"
# One client keeps its connection and one makes a new one for each request; neither tries anything twice. Both
# take up the authorities to trust as agents do: from a folder that the kubelet renews.
_CLIENTS = """
import asyncio, collections, itertools, json, os, ssl, sys, time, uuid, httpx
BEGAN = time.monotonic()
BUNDLE = "/trust/ca.crt"
KEY = {"X-Api-Key": open("/callers/visitor").read()}
BODY = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "ping"}]}}
answers, ways, errors = collections.Counter(), collections.Counter(), []

async def wait(http):
    answer = await http.post(sys.argv[1] + "/runs/wait", json=BODY)
    answer.raise_for_status()
    return answer.json()

async def stream(http):
    events, name = {}, ""
    async with http.stream("POST", sys.argv[1] + "/runs/stream", json={**BODY, "stream_mode": "values"}) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                events[name] = json.loads(line[5:])
    if "end" not in events:
        raise EOFError(f"a stream without an end: {list(events)}")
    return events["values"]

async def background(http):
    thread = f"{sys.argv[1]}/threads/{uuid.uuid4()}/runs"
    made = await http.post(thread, json={**BODY, "if_not_exists": "create"})
    made.raise_for_status()
    answer = await http.get(f"{thread}/{made.json()['run_id']}/join")
    answer.raise_for_status()
    return answer.json()

WAYS = [globals()[name] for name in sys.argv[2:]]

async def ask(http, turns=itertools.cycle(WAYS)):
    way = next(turns)
    try:
        values = await way(http)
        answers[values["messages"][-1]["content"]] += 1
        ways[way.__name__] += 1
    except Exception as error:
        errors.append(f"{time.monotonic() - BEGAN:.1f} s: {way.__name__}: {type(error).__name__}: {error}")
    with open("/tmp/count.new", "w") as file:
        file.write(str(answers.total()))
    os.replace("/tmp/count.new", "/tmp/count")
    await asyncio.sleep(0.02)

def client():
    return httpx.AsyncClient(timeout=30, headers=KEY, verify=ssl.create_default_context(cafile=BUNDLE))

async def keep_connection():
    while not os.path.exists("/tmp/stop"):
        trusted = os.path.realpath(BUNDLE)
        async with client() as http:
            while not os.path.exists("/tmp/stop") and os.path.realpath(BUNDLE) == trusted:
                await ask(http)

async def connect_anew():
    while not os.path.exists("/tmp/stop"):
        async with client() as http:
            await ask(http)

async def let_in():
    # Network policies know a new pod a moment after it has begun.
    while time.monotonic() - BEGAN < 30:
        try:
            async with client() as http:
                return await http.get(sys.argv[1] + "/livez")
        except httpx.ConnectError:
            await asyncio.sleep(0.2)

async def main():
    await let_in()
    both = (keep_connection, connect_anew)
    await asyncio.gather(*(client() for client in both for _ in WAYS))

asyncio.run(main())
print(json.dumps({"answers": answers, "ways": ways, "errors": errors}))
"""


@dataclass
class Report:
    """What the clients got.

    Attributes:
        answers: how often each text was answered.
        ways: how often each way of asking was answered.
        errors: what failed, one line each.
    """

    answers: dict[str, int] = field(default_factory=dict)
    ways: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


@contextmanager
def traffic(space: Space, agent: str, image: str, ways: tuple[str, ...] = ("wait",)) -> Iterator[Report]:
    """Clients that ask `agent` for as long as the context lasts; the report is filled at its end.

    `ways` are `wait`, `stream` and `background`, which makes a run and then joins it.
    """
    report = Report()
    space.apply(_pod(agent, [f"https://{agent}.{space.name}.svc:{PORT}", *ways], image))
    space.kubectl("wait", "--for=condition=Ready", f"pod/{_POD}", "--timeout=60s")
    wait_for_answers(space, 1)
    yield report
    space.kubectl("exec", _POD, "--", "python3", "-c", _STOP)
    space.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{_POD}", "--timeout=60s")
    found = json.loads(space.kubectl("logs", _POD))
    report.answers, report.ways, report.errors = found["answers"], found["ways"], found["errors"]


def wait_for_answers(space: Space, more: int) -> None:
    """Wait until the clients got this many answers more."""

    def count() -> int:
        return int(space.kubectl("exec", _POD, "--", "python3", "-c", _COUNT))

    goal = count() + more
    until("answers to the clients", count, lambda seen: seen >= goal, seconds=60)


def _pod(agent: str, arguments: list[str], image: str) -> dict[str, Any]:
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
                    "command": ["python3", "-c", _CLIENTS, *arguments],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [
                        {"name": "trust", "mountPath": "/trust", "readOnly": True},
                        {"name": "callers", "mountPath": "/callers", "readOnly": True},
                    ],
                }
            ],
            "volumes": [
                {"name": "trust", "configMap": {"name": f"{agent}-trust"}},
                {"name": "callers", "secret": {"secretName": CALLERS}},
            ],
        },
    }
