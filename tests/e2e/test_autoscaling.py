"""Pods follow the load and leave with it, and no call fails; a drained node loses none either."""

import base64
import json
import os
import time
from math import ceil
from typing import Any

import pytest

from cluster import metricsserver
from cluster.installation import OPERATOR_NAMESPACE, Installation
from e2e.support.manifests import agent, mongodb
from e2e.support.operator import Operator
from e2e.support.scaling import condition, ready, replicas
from e2e.support.space import Space
from e2e.support.traffic import traffic, wait_for_answers
from e2e.support.waiting import until

_AGENT = "elastic"
_WAYS = ("wait", "stream", "background")
_MOST = 3
_LOOKS = 3
# What the pod counts of the runs that ended in it, asked with the scraper's certificate from standard input.
_COUNT = """
import os, ssl, sys, urllib.request
context = ssl._create_unverified_context()
with open("/tmp/scraper", "w") as file:
    file.write(sys.stdin.read())
context.load_cert_chain("/tmp/scraper")
os.unlink("/tmp/scraper")
text = urllib.request.urlopen("https://127.0.0.1:8443/metrics", context=context).read().decode()
samples = [line.split() for line in text.splitlines() if line.startswith("apm_agent_runs_total{")]
print(sum(float(value) for name, value in samples if 'status="success"' in name))
"""


def _busy(**spec: Any) -> dict[str, Any]:
    """An agent of three nodes that take half a second, so that pods end in the middle of runs."""
    nodes = [{"name": f"n{at}", "uses": "model", "next": f"n{at + 1}"} for at in range(3)]
    nodes[-1]["next"] = "end"
    return agent(
        _AGENT,
        models=[{"name": "default", "provider": "scripted", "script": [{"reply": "done", "delay": "150ms"}]}],
        workflow={"start": "n0", "nodes": nodes},
        state=mongodb(),
        **spec,
    )


def _scraper(space: Space) -> str:
    """Certificate and key of the metrics scraper, PEM."""
    found = space.cluster.kubectl("get", "secret/apm-scraper-tls", f"--namespace={OPERATOR_NAMESPACE}", "--output=json")
    data = json.loads(found)["data"]
    return "".join(base64.b64decode(data[name]).decode() for name in ("tls.crt", "tls.key"))


def _ended(space: Space) -> dict[str, float]:
    """How many runs have ended in each pod."""
    scraper, names = _scraper(space), [pod["metadata"]["name"] for pod in space.pods(_AGENT)]
    ask = ("--", "python3", "-c", _COUNT)
    return {name: float(space.kubectl("exec", "--stdin", name, *ask, stdin=scraper)) for name in names}


def _active(told: dict[str, Any]) -> bool:
    return told.get("status") == "True"


def _usages(space: Space) -> set[tuple[str, int]]:
    """When metrics-server looked at the agent's pods, and the millicores that they used then."""
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{space.name}/pods"
    found = json.loads(space.cluster.kubectl("get", f"--raw={path}"))["items"]
    return {(pod["timestamp"], _millicores(pod["containers"][0]["usage"]["cpu"])) for pod in found}


def _millicores(quantity: str) -> int:
    """`12345678n`, `1234u` or `12m`, rounded up."""
    per = {"n": 1_000_000, "u": 1_000, "m": 1}
    return ceil(int(quantity[:-1]) / per[quantity[-1]]) if quantity[-1] in per else int(quantity) * 1000


def _idle(space: Space) -> int:
    """Millicores of a pod at rest: the least of three looks."""
    seen: set[tuple[str, int]] = set()

    def look() -> int:
        seen.update(_usages(space))
        return len(seen)

    until("three looks at a pod at rest", look, lambda looks: looks >= _LOOKS, seconds=150)
    return max(min(millicores for _, millicores in seen), 10)


@pytest.fixture(scope="module", autouse=True)
def _with_metrics(cluster: Installation) -> None:
    metricsserver.ensure(cluster.cluster)


@pytest.mark.timeout(900, func_only=True)
@pytest.mark.skipif(not os.environ.get("APM_SOAK"), reason="APM_SOAK is not set: it takes six minutes")
def test_pods_follow_the_load_and_no_call_fails(space: Space) -> None:
    space.apply(_busy())
    space.ready(_AGENT)
    # What a pod at rest uses is the machine's: half of what is requested has to be more than that.
    requested = f"{5 * _idle(space)}m"
    scaling = {"maxReplicas": _MOST, "targetCPUUtilizationPercentage": 50, "scaleDownStabilization": "15s"}
    space.apply(_busy(autoscaling=scaling, resources={"requests": {"cpu": requested, "memory": "64Mi"}}))
    until("the autoscaler knows the load", lambda: condition(space, _AGENT, "Autoscaling"), _active, seconds=150)
    until("one idle pod", lambda: replicas(space, _AGENT), lambda number: number == 1, seconds=120)

    times = {}
    with traffic(space, _AGENT, Operator(space.cluster).runtime_image(), _WAYS) as report:
        began = time.monotonic()
        until("more pods are wanted", lambda: replicas(space, _AGENT), lambda number: number > 1, seconds=120)
        times["more pods wanted"] = time.monotonic() - began
        until("the most pods are ready", lambda: ready(space, _AGENT), lambda number: number == _MOST, seconds=150)
        times["most pods ready"] = time.monotonic() - began
        assert condition(space, _AGENT, "Ready")["status"] == "True"
        before = _ended(space)
        wait_for_answers(space, 150)
        shares = {pod: number - before[pod] for pod, number in _ended(space).items()}
    ended = time.monotonic()
    until("fewer pods are wanted", lambda: replicas(space, _AGENT), lambda number: number < _MOST, seconds=180)
    times["fewer pods wanted"] = time.monotonic() - ended
    until("one pod is left", lambda: len(space.all("pods", _AGENT)), lambda number: number == 1, seconds=300)
    times["one pod left"] = time.monotonic() - ended

    print({name: f"{seconds:.0f} s" for name, seconds in times.items()})  # noqa: T201
    print("runs of each pod:", sorted(shares.values()), "answers:", report.answers, "by:", report.ways)  # noqa: T201
    assert report.errors == []
    assert set(report.answers) == {"done"}
    assert len(shares) == _MOST
    assert min(shares.values()) >= sum(shares.values()) / _MOST / 4, f"the load is not spread: {shares}"
