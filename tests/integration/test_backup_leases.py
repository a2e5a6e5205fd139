"""Jobs that exclude each other by Leases of a real API server, with the rights that a Job has."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apm_operator.backup.errors import ConfigError, LeaseBusy, LeaseLost
from apm_operator.backup.lease import PROGRESS, Timing, hold
from apm_operator.backup.lease_api import Api
from apm_operator.backup.progress import on_leases
from cluster.progress import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cluster.controlplane import ControlPlane

QUICK = Timing(stale=6.0, renew=0.3, lost=4.0, poll=0.1)
"""Quicker than in a cluster, and yet a machine that stands still for two seconds loses nothing."""
NAMES = ("apm-backup-db-0", "apm-backup-store-0")
SEPARATE = """
import sys, time
from pathlib import Path
from apm_operator.backup.lease import Timing, hold
from apm_operator.backup.lease_api import Api
account, server, namespace, *names = sys.argv[1:]
api = Api(namespace, account=Path(account), server=server)
with hold(names, api, "killed", wait=10, timing=Timing(stale=6.0, renew=0.3, lost=4.0, poll=0.1)):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def account(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Path:
    """What the kubelet mounts into a Job's pod, of a ServiceAccount with a Job's Role; and its Leases."""
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "job"}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "job"},
            "rules": [
                {
                    "apiGroups": ["coordination.k8s.io"],
                    "resources": ["leases"],
                    "resourceNames": [*NAMES],
                    "verbs": ["get", "patch", "update"],
                }
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "job"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "job"},
            "subjects": [{"kind": "ServiceAccount", "name": "job", "namespace": namespace}],
        },
        *(
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "labels": {"a": "b"}}}
            for name in NAMES
        ),
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    control_plane.kubectl("apply", "--server-side", f"--namespace={namespace}", "-f", "-", stdin=text)
    (tmp_path / "token").write_text(control_plane.kubectl("create", "token", "job", f"--namespace={namespace}"))
    (tmp_path / "ca.crt").write_bytes(control_plane.pki.authority.pair.certificate.read_bytes())
    return tmp_path


@pytest.fixture
def api(control_plane: ControlPlane, namespace: str, account: Path) -> Iterator[Api]:
    it = Api(namespace, account=account, server=control_plane.url)
    yield it
    it.close()


def holder(api: Api, name: str = NAMES[0]) -> str:
    return str(api.get(name).get("spec", {}).get("holderIdentity", ""))


def work_on(api: Api, fault: Callable[[], object], times: list[float] | None = None) -> None:
    """Hold the Leases in a call that blocks; `times`: of the fault and of the work's end."""
    times = [] if times is None else times
    with hold(NAMES, api, "one", wait=5, timing=QUICK):
        fault()
        times.append(time.monotonic())
        try:
            time.sleep(30)
        finally:
            times.append(time.monotonic())


def test_they_are_given_back(api: Api):
    with hold(NAMES, api, "one", wait=5, timing=QUICK):
        assert {holder(api, name) for name in NAMES} == {"one"}
        assert api.get(NAMES[0])["metadata"]["labels"] == {"a": "b"}
    assert {holder(api, name) for name in NAMES} == {""}
    with hold(NAMES, api, "two", wait=0, timing=QUICK):
        assert holder(api) == "two"


def test_a_living_holder_keeps_them(api: Api):
    with hold(NAMES[:1], api, "one", wait=5, timing=QUICK):
        with (
            pytest.raises(LeaseBusy, match="one holds it"),
            hold(NAMES, api, "two", wait=QUICK.stale * 1.5, timing=QUICK),
        ):
            pytest.fail("both have it")
        assert holder(api) == "one"


def test_who_waits_gets_them_afterwards(api: Api):
    order = []
    with ExitStack() as first:
        first.enter_context(hold(NAMES, api, "one", wait=5, timing=QUICK))

        def second() -> None:
            with hold(NAMES, api, "two", wait=30, timing=QUICK):
                order.append("two")

        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(QUICK.stale * 1.5)  # longer than a dead holder would have been left them
        order.append("one")
    waiting.join(30)
    assert order == ["one", "two"]


def test_those_of_a_killed_job_are_taken_over(api: Api, control_plane: ControlPlane, namespace: str, account: Path):
    command = [sys.executable, "-c", SEPARATE, str(account), control_plane.url, namespace, *NAMES]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2] / "operator")
    assert job.stdout is not None
    assert job.stdout.readline() == "held\n"
    job.send_signal(signal.SIGKILL)
    job.wait()
    job.stdout.close()
    killed = time.monotonic()
    with hold(NAMES, api, "next", wait=30, timing=QUICK):
        assert time.monotonic() - killed >= QUICK.stale - 0.1
        assert holder(api, NAMES[1]) == "next"
        assert api.get(NAMES[0])["spec"]["leaseTransitions"] == 2


def test_a_lease_that_was_taken_ends_the_work_wherever_it_is(api: Api):
    def rob() -> None:
        lease = api.get(NAMES[1])
        api.put(NAMES[1], {**lease, "spec": {**lease["spec"], "holderIdentity": "thief"}})

    with pytest.raises(LeaseLost):
        work_on(api, rob)
    assert holder(api, NAMES[1]) == "thief"
    assert holder(api, NAMES[0]) == ""


def test_without_an_api_server_the_work_ends_before_anybody_else_may_begin(api: Api, control_plane: ControlPlane):
    ended: list[float] = []
    try:
        with pytest.raises(LeaseLost):
            work_on(api, control_plane.pause_api_server, ended)
    finally:
        control_plane.resume_api_server()
    assert ended[1] - ended[0] < QUICK.stale


def test_a_token_is_read_anew(api: Api, control_plane: ControlPlane, namespace: str, account: Path):
    with hold(NAMES, api, "one", wait=5, timing=QUICK) as held:
        before = api.get(NAMES[0])["spec"]["renewTime"]
        fresh = control_plane.kubectl("create", "token", "job", f"--namespace={namespace}", "--duration=20m")
        (account / "token").write_text(fresh)
        wait_until("a renewal", lambda: api.get(NAMES[0])["spec"]["renewTime"] != before, seconds=10)
        held.check()


def test_other_writers_of_the_lease_disturb_nothing(api: Api, control_plane: ControlPlane, namespace: str):
    with hold(NAMES, api, "one", wait=5, timing=QUICK) as held:
        for number in range(20):
            control_plane.kubectl("label", "lease", NAMES[0], f"n=v{number}", "--overwrite", f"--namespace={namespace}")
        held.check()
        assert holder(api) == "one"
        assert api.get(NAMES[0])["metadata"]["labels"]["n"] == "v19"


def test_progress_can_be_read_from_the_leases(api: Api):
    with hold(NAMES, api, "one", wait=5, timing=QUICK) as held:
        on_leases(held, run="nightly-1", pod="nightly-1-abc")("Dumping", 10, 1000, None)

        def told() -> bool:
            return PROGRESS in api.get(NAMES[0])["metadata"].get("annotations", {})

        wait_until("progress", told, seconds=10)
        progress = json.loads(api.get(NAMES[0])["metadata"]["annotations"][PROGRESS])
    assert progress == {
        "run": "nightly-1",
        "holder": "nightly-1-abc",
        "phase": "Dumping",
        "documents": 10,
        "bytes": 1000,
    }


def test_other_leases_are_not_the_job_s(api: Api):
    with pytest.raises(ConfigError, match="may not GET"), hold(["foreign"], api, "one", wait=5, timing=QUICK):
        pytest.fail("it has it")
