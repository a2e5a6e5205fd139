"""The operator is killed, cut off, lied to and replaced; the agents come out right."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from aiohttp import web

from cluster.controlplane import ControlPlane
from integration.faults import FaultyProxy, faulty_proxy, status_answer
from integration.operators import Operator, agent, eventually, operator

NUMBER = 30
CHILDREN = "serviceaccount,configmap,service,deployment"


def create(plane: ControlPlane, namespace: str, number: int = NUMBER) -> None:
    items = [agent(f"agent-{index}", namespace) for index in range(number)]
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    plane.kubectl("apply", "--server-side", "--filename=-", stdin=manifest)


def children(plane: ControlPlane, namespace: str) -> list[str]:
    found = plane.kubectl("get", CHILDREN, f"--namespace={namespace}", "--output=name")
    return [name for name in found.split() if "agent-" in name]


def reasons(plane: ControlPlane, namespace: str) -> list[str]:
    path = r"{range .items[*]}{.status.conditions[?(@.type=='Ready')].reason}{'\n'}{end}"
    return plane.kubectl("get", "agents", f"--namespace={namespace}", f"--output=jsonpath={path}").split()


def all_made(plane: ControlPlane, namespace: str, number: int = NUMBER, seconds: float = 60) -> None:
    """Every agent has its four children and its status, and nothing is there twice."""
    eventually(
        f"{number} agents are told of",
        lambda: reasons(plane, namespace) == ["Progressing"] * number,
        seconds,
    )
    assert len(children(plane, namespace)) == 4 * number


def writes_to(request: web.Request, namespace: str) -> bool:
    """Whether the operator writes something there, and not what is its own elsewhere."""
    return request.method == "PATCH" and f"/namespaces/{namespace}/" in request.path


@pytest.fixture
def proxy(control_plane: ControlPlane, tmp_path: Path) -> Iterator[FaultyProxy]:
    with faulty_proxy(control_plane, tmp_path) as started:
        yield started


def test_killed_in_the_middle_of_thirty_agents(
    control_plane: ControlPlane, proxy: FaultyProxy, namespace: str, tmp_path: Path
):
    made = count(start=1)
    with operator(proxy.kubeconfig, namespace, tmp_path / "first", APM_CONCURRENCY="2") as first:
        first.ready()
        # However slow this test is, it does not get to the end.
        proxy.held = lambda request: writes_to(request, namespace) and next(made) > NUMBER
        create(control_plane, namespace)
        eventually("some children", lambda: len(children(control_plane, namespace)) >= 10)
        first.end(signal.SIGKILL)
    assert len(children(control_plane, namespace)) < 4 * NUMBER, "it was killed too late for this test to mean anything"
    with operator(control_plane.kubeconfig, namespace, tmp_path / "second") as second:
        all_made(control_plane, namespace)
        second.idle()
        assert second.calls()["apply", "Deployment"] <= NUMBER


def test_a_restart_with_nothing_changed_writes_nothing(control_plane: ControlPlane, namespace: str, tmp_path: Path):
    with operator(control_plane.kubeconfig, namespace, tmp_path / "first") as first:
        first.ready()
        create(control_plane, namespace)
        all_made(control_plane, namespace)
        first.idle()
        assert first.end() == 0
    with operator(control_plane.kubeconfig, namespace, tmp_path / "second") as second:
        second.ready()
        eventually("a pass over each", lambda: second.metric("apm_reconciles_total", result="unchanged") >= NUMBER)
        assert second.calls() == {}


def test_what_happened_while_no_operator_ran_is_made_up_for(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    with operator(control_plane.kubeconfig, namespace, tmp_path / "first") as first:
        first.ready()
        create(control_plane, namespace, 3)
        all_made(control_plane, namespace, 3)
        first.end()
    in_namespace = f"--namespace={namespace}"
    control_plane.kubectl("delete", "agent", "agent-0", in_namespace)
    control_plane.kubectl("delete", "service", "agent-1", in_namespace)
    control_plane.kubectl("scale", "deployment", "agent-2", "--replicas=0", in_namespace)
    with operator(control_plane.kubeconfig, namespace, tmp_path / "second") as second:
        second.ready()
        # A young cluster's garbage collector learns of new kinds each half minute, and tries again ever more rarely.
        eventually("the right children", lambda: len(children(control_plane, namespace)) == 8, 120)
        eventually(
            "one replica",
            lambda: (
                control_plane.kubectl(
                    "get", "deployment", "agent-2", in_namespace, "--output=jsonpath={.spec.replicas}"
                )
                == "1"
            ),
        )


@pytest.mark.parametrize("code", [409, 429, 500, 503])
def test_errors_of_the_api_server_are_tried_again(
    control_plane: ControlPlane, proxy: FaultyProxy, namespace: str, tmp_path: Path, code: int
):
    asked: list[float] = []

    def fault(request: web.Request) -> web.Response | None:
        if not writes_to(request, namespace) or len(asked) >= 6:
            return None
        asked.append(time.monotonic())
        return status_answer(code, retry_after=2 if code == 429 else None)

    with operator(proxy.kubeconfig, namespace, tmp_path / "log") as running:
        running.ready()
        proxy.fault = fault
        create(control_plane, namespace, 3)
        all_made(control_plane, namespace, 3)
        assert proxy.injected[code] == 6
        assert running.metric("apm_queue_retries_total") >= 6
        running.idle()


def test_a_list_or_watch_that_fails_for_a_while_is_no_end(
    control_plane: ControlPlane, proxy: FaultyProxy, namespace: str, tmp_path: Path
):
    failures = iter([429, 500, 503, 500, 429, 500, 503] * 3)

    def fault(request: web.Request) -> web.Response | None:
        if request.method != "GET" or "/namespaces/" not in request.path:
            return None
        code = next(failures, None)
        return None if code is None else status_answer(code, retry_after=0)

    proxy.fault = fault
    create(control_plane, namespace, 3)
    with operator(proxy.kubeconfig, namespace, tmp_path / "log") as running:
        all_made(control_plane, namespace, 3)
        assert sum(proxy.injected.values()) == 21
        running.idle()


def test_a_deaf_watch_is_noticed(control_plane: ControlPlane, proxy: FaultyProxy, namespace: str, tmp_path: Path):
    with operator(proxy.kubeconfig, namespace, tmp_path / "log", APM_RESYNC_SECONDS="2") as running:
        running.ready()
        proxy.deaf = True
        create(control_plane, namespace, 3)
        all_made(control_plane, namespace, 3)
        assert running.metric("apm_watch_missed_total", resource="agentdeployments") >= 3
        control_plane.kubectl("delete", "service", "agent-1", f"--namespace={namespace}")
        eventually("repaired", lambda: len(children(control_plane, namespace)) == 12)
        assert running.metric("apm_watch_missed_total", resource="services") >= 1


def test_the_api_server_is_restarted(control_plane: ControlPlane, namespace: str, tmp_path: Path):
    with operator(control_plane.kubeconfig, namespace, tmp_path / "log") as running:
        running.ready()
        create(control_plane, namespace, 10)
        control_plane.stop_api_server(kill=True)
        gone = time.monotonic()
        control_plane.start_api_server()
        all_made(control_plane, namespace, 10)
        # Each watch comes back in its own time; what is deleted before is found by the next comparison alone.
        eventually("all watches are back", lambda: running.deaf() < time.monotonic() - gone, 60)
        control_plane.kubectl("delete", "service", "agent-3", f"--namespace={namespace}")
        eventually("repaired", lambda: len(children(control_plane, namespace)) == 40)
        assert running.answers("/livez")
        running.idle()


def test_a_namespace_that_is_deleted_is_left_in_peace(control_plane: ControlPlane, tmp_path: Path):
    name = f"leaving-{time.time_ns():x}"
    control_plane.kubectl("create", "namespace", name)
    with operator(control_plane.kubeconfig, name, tmp_path / "log") as running:
        running.ready()
        create(control_plane, name, 5)
        all_made(control_plane, name, 5)
        control_plane.kubectl("delete", "namespace", name, "--wait=true", "--timeout=60s")
        running.idle()
        assert running.answers("/livez")
        assert [line for line in running.lines() if line["level"] in ("error", "critical")] == []
        eventually("the agents are forgotten", lambda: running.metric("apm_agents") == 0)


def leads(running: Operator) -> bool:
    return running.metric("apm_leader") == 1


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGKILL, 15.0), (signal.SIGTERM, 7.0)])
def test_a_stand_by_takes_over(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, number: int, seconds: float
):
    kubeconfig, election = control_plane.kubeconfig, {"APM_LEADER_ELECTION": "true"}
    with operator(kubeconfig, namespace, tmp_path / "one", POD_NAME="one", **election) as one:
        eventually("the first leads", lambda: leads(one))
        with operator(kubeconfig, namespace, tmp_path / "two", POD_NAME="two", **election) as two:
            eventually("the stand-by is ready", lambda: two.answers("/readyz"))
            assert not leads(two)
            one.end(number)
            started = time.monotonic()
            eventually("the second leads", lambda: leads(two), seconds)
            assert time.monotonic() - started < seconds
            two.ready()
            create(control_plane, namespace, 2)
            all_made(control_plane, namespace, 2)


def test_two_installations_in_one_namespace_lead_each(control_plane: ControlPlane, namespace: str, tmp_path: Path):
    kubeconfig, election = control_plane.kubeconfig, {"APM_LEADER_ELECTION": "true"}
    other = namespace + "-other"
    control_plane.kubectl("create", "namespace", other)
    with (
        operator(kubeconfig, namespace, tmp_path / "one", APM_NAME="one", **election) as one,
        operator(
            kubeconfig, other, tmp_path / "two", APM_NAME="two", APM_OPERATOR_NAMESPACE=namespace, **election
        ) as two,
    ):
        eventually("both lead", lambda: leads(one) and leads(two))
        create(control_plane, namespace, 2)
        create(control_plane, other, 2)
        all_made(control_plane, namespace, 2)
        all_made(control_plane, other, 2)
    control_plane.kubectl("delete", "namespace", other, "--wait=false")


def test_a_leader_that_can_not_renew_ends(proxy: FaultyProxy, namespace: str, tmp_path: Path):
    def no_lease(request: web.Request) -> web.Response | None:
        return status_answer(500) if "/leases" in request.path else None

    with operator(proxy.kubeconfig, namespace, tmp_path / "log", APM_LEADER_ELECTION="true") as running:
        eventually("it leads", lambda: leads(running))
        proxy.fault = no_lease
        assert running.process.wait(20) == 1


def test_no_write_outlives_the_lease(control_plane: ControlPlane, proxy: FaultyProxy, namespace: str, tmp_path: Path):
    def no_lease(request: web.Request) -> web.Response | None:
        return status_answer(500) if "/leases" in request.path else None

    with operator(proxy.kubeconfig, namespace, tmp_path / "log", APM_LEADER_ELECTION="true") as running:
        running.ready()
        proxy.held = lambda request: request.method == "PATCH"
        create(control_plane, namespace, 3)
        cut = time.monotonic()
        proxy.fault = no_lease
        eventually("no write is under way", lambda: len(proxy.abandoned) >= 3, 20)
        assert running.process.wait(20) == 1
        assert max(proxy.abandoned) - cut < 11, "a stand-by leads 12 s after the last renewal"


def test_it_waits_for_the_crd(control_plane: ControlPlane, proxy: FaultyProxy, namespace: str, tmp_path: Path):
    def no_group(request: web.Request) -> web.Response | None:
        return status_answer(404) if request.path.startswith("/apis/apm.valeo-neuroerp.com") else None

    proxy.fault = no_group
    with operator(proxy.kubeconfig, namespace, tmp_path / "log") as running:
        eventually("it says so", lambda: any("install the CRDs" in line["event"] for line in running.lines()))
        assert running.answers("/livez")
        proxy.fault = lambda _: None
        running.ready()
        create(control_plane, namespace, 1)
        all_made(control_plane, namespace, 1)
