"""The operator finds anomalies in a real Prometheus' history and numbers, and tells of them at a real API server."""

import itertools
import json
import math
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster.controlplane import ControlPlane
from integration.operators import agent, eventually, operator
from integration.prometheuses import prometheus

DAY = 86_400
STEP = 400
WEEKS_KNOWN = 3
ODD_FOR = 1500
"""Seconds: what lasts for less than a quarter of an hour is only half of what is seen."""


@pytest.fixture
def source(tmp_path: Path, namespace: str) -> Iterator[str]:
    """Prometheus: for three weeks all was as usual; since some minutes the runs of `odd` take more tokens."""
    with prometheus(tmp_path, samples(namespace, time.time())) as url:
        yield url


def samples(namespace: str, now: float) -> Iterator[tuple[str, Mapping[str, str], float, float]]:
    begin = int(now - WEEKS_KNOWN * 7 * DAY)
    counted: dict[str, list[tuple[Mapping[str, str], float, float]]] = {}
    for name, days, factor in (("calm", 21, 1.0), ("odd", 21, 4.0), ("new", 3, 4.0)):
        draw = random.Random(1)  # noqa: S311
        labels = {"namespace": namespace, "agent": name, "pod": f"{name}-1"}
        totals = dict.fromkeys(("runs", "failed", "seconds", "tokens"), 0.0)
        for when in range(begin + (21 - days) * DAY, int(now) + 2 * STEP, STEP):
            runs = round(20 + 10 * math.sin(when % DAY / DAY * 2 * math.pi) + draw.gauss(0, 1))
            tokens = 2000 * draw.uniform(0.95, 1.05) * (factor if when > now - ODD_FOR else 1.0)
            gained = {"runs": runs, "failed": draw.random() < 0.1, "seconds": 3.0 * runs, "tokens": tokens * runs}
            for what, value in gained.items():
                totals[what] += value
            for metric, extra, value in (
                ("apm_agent_runs_total", {"status": "success"}, totals["runs"] - totals["failed"]),
                ("apm_agent_runs_total", {"status": "error"}, totals["failed"]),
                ("apm_agent_run_duration_seconds_sum", {}, totals["seconds"]),
                ("apm_agent_model_tokens_total", {"direction": "input"}, totals["tokens"]),
            ):
                counted.setdefault(metric, []).append((labels | extra, float(when), value))
    for metric, of_metric in counted.items():
        by_labels = sorted(of_metric, key=lambda each: (sorted(each[0].items()), each[1]))
        yield from ((metric, *each) for each in by_labels)


def condition(plane: ControlPlane, namespace: str, name: str) -> dict[str, Any]:
    told = json.loads(plane.kubectl("--namespace", namespace, "get", "agent", name, "--output=json"))
    found = told.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == "Anomalous"), {})


def events(plane: ControlPlane, namespace: str, reason: str) -> list[dict[str, Any]]:
    found = json.loads(plane.kubectl("--namespace", namespace, "get", "events.events.k8s.io", "--output=json"))["items"]
    return [each for each in found if each["reason"] == reason]


def test_anomalies_are_told_and_outlive_the_operator(
    control_plane: ControlPlane, namespace: str, source: str, tmp_path: Path
):
    for name in ("calm", "odd", "new"):
        control_plane.kubectl("apply", "--filename=-", stdin=json.dumps(agent(name, namespace)))
    settings = {"APM_PROMETHEUS_URL": source, "APM_ANOMALIES_SECONDS": "1"}
    logs = (tmp_path / f"operator-{number}.log" for number in itertools.count())
    with operator(control_plane.kubeconfig, namespace, next(logs), **settings) as first:
        odd = eventually("an anomaly is told", lambda: told(control_plane, namespace, "odd", "True"), 180)
        assert odd["reason"] == "Anomaly"
        assert odd["message"].startswith("tokens per run ")
        assert " times the usual for " in odd["message"]
        # Each agent has a pass of its own, in any order.
        calm = eventually("nothing is told of another one", lambda: told(control_plane, namespace, "calm", "False"))
        assert calm["reason"] == "AsUsual"
        new = eventually("the new one is told to be learning", lambda: told(control_plane, namespace, "new", "Unknown"))
        assert new["reason"] == "Learning"
        (event,) = eventually("an Event is written", lambda: events(control_plane, namespace, "Anomaly"))
        assert event["type"] == "Warning"
        assert event["note"] == odd["message"]
        assert event["regarding"]["name"] == "odd"
        assert first.metric("apm_agent_anomalous", agent="odd", series="tokens_per_run") == 1
        assert first.metric("apm_agent_anomalous") == 1
        assert first.metric("apm_anomaly_source_up") == 1
        assert first.metric("apm_anomaly_agents", reason="Learning") == 1
        first.end()
    with operator(control_plane.kubeconfig, namespace, next(logs), **settings) as second:
        eventually("it is known again", lambda: second.metric("apm_agent_anomalous", agent="odd") == 1, 180)
        assert told(control_plane, namespace, "odd", "True")["lastTransitionTime"] == odd["lastTransitionTime"]
        second.end()
    with operator(control_plane.kubeconfig, namespace, next(logs)) as without:
        eventually("nothing is told any more", lambda: not condition(control_plane, namespace, "odd"))
        assert without.metric("apm_anomaly_source_up") == 0


def test_a_prometheus_that_is_away_changes_nothing(control_plane: ControlPlane, namespace: str, tmp_path: Path):
    control_plane.kubectl("apply", "--filename=-", stdin=json.dumps(agent("calm", namespace)))
    settings = {"APM_PROMETHEUS_URL": "http://127.0.0.1:1", "APM_ANOMALIES_SECONDS": "1"}
    with operator(control_plane.kubeconfig, namespace, tmp_path / "operator.log", **settings) as one:
        eventually("it is said once", lambda: [each for each in one.lines() if "Prometheus can't" in each["event"]])
        one.idle()
        assert one.metric("apm_anomaly_source_up") == 0
        assert condition(control_plane, namespace, "calm") == {}
        assert len([each for each in one.lines() if "Prometheus" in each["event"]]) == 1


def told(plane: ControlPlane, namespace: str, name: str, status: str) -> dict[str, Any]:
    found = condition(plane, namespace, name)
    return found if found.get("status") == status else {}
