"""Policies, backups, restores and reports on a real API server, with the real controllers of CronJobs and Jobs.

No kubelet runs: the tests write what it would have written into the status of a Job's pod.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cluster import crds
from cluster.controlplane import LEAN_CONTROLLERS, ControlPlane, Options
from cluster.instances import control_plane as start_control_plane
from integration.operators import Operator, eventually, operator
from integration.shop import Shop

GROUP = "apm.valeo-neuroerp.com"
MONGODB = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}
NAME = "nightly"


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """With the controllers of CronJobs and Jobs, which no other test needs."""
    options = Options(controllers=(*LEAN_CONTROLLERS, "cronjob-controller", "job-controller"))
    with start_control_plane(options) as started:
        crds.install(started)
        yield started


class Space(Shop):
    """What a user does with backups, and the kubelet with their pods."""

    def policy(self, name: str = NAME, **spec: Any) -> None:
        storage = {"persistentVolumeClaim": {"claimName": "backups"}}
        self.apply(self.object("BackupPolicy", name, {"source": {"mongodb": MONGODB}, "storage": storage} | spec))

    def object(self, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}

    def backup(self, name: str = "by-hand") -> None:
        self.apply(self.object("Backup", name, {"policyRef": {"name": NAME}}))

    def secret(self) -> None:
        uri = "mongodb://user:geheim@mongodb.shop.svc:27017/"
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "apm-mongodb"}, "stringData": {"uri": uri}}
        self.apply(body)

    def status(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(kind, name).get("status", {})
        return found

    def reason(self, kind: str, name: str) -> str:
        conditions = self.status(kind, name).get("conditions", [])
        return next((each["reason"] for each in conditions if each["type"] == "Ready"), "")

    def becomes(self, kind: str, name: str, reason: str) -> None:
        eventually(f"{kind} {name} becomes {reason}", lambda: self.reason(kind, name) == reason)

    def pod(self, job: str) -> str:
        def made() -> str:
            return self.kubectl("get", "pods", f"--selector=batch.kubernetes.io/job-name={job}", "--output=name")

        name: str = eventually(f"the pod of {job} is made", made)
        return name.strip().partition("/")[2]

    def bind(self, job: str) -> None:
        """Give the pod a node, whose kubelet would have to end it."""
        pod = self.pod(job)
        target = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/binding"
        self.kubectl("create", f"--raw={path}", "--filename=-", stdin=json.dumps(body))

    def runs(self, job: str) -> None:
        self._pod_status(job, "Running", {"running": {"startedAt": now()}})

    def ends(self, job: str, report: dict[str, Any] | None, *, reason: str = "Completed", code: int = 0) -> None:
        message = {"message": json.dumps(report)} if report is not None else {}
        ended = {"exitCode": code, "reason": reason, "startedAt": now(), "finishedAt": now(), **message}
        self._pod_status(job, "Failed" if code else "Succeeded", {"terminated": ended})

    def _pod_status(self, job: str, phase: str, state: dict[str, Any]) -> None:
        (declared,) = self.get("pod", self.pod(job))["spec"]["containers"]
        container = {
            "name": declared["name"],
            "image": "i",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": state,
        }
        status = {"phase": phase, "containerStatuses": [container]}
        patch = json.dumps({"status": status})
        self.kubectl("patch", "pod", self.pod(job), "--subresource=status", "--type=merge", f"--patch={patch}")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def report(name: str, **facts: Any) -> dict[str, Any]:
    backup = {
        "name": name,
        "started": now(),
        "finished": now(),
        "size": 1000,
        "archiveSize": 3000,
        "documents": 42,
        "collections": 3,
        "sha256": "ab" * 32,
        "encrypted": False,
    }
    test = {"name": name, "at": now(), "restored": True, "good": True, "documents": 42}
    told = {"result": "Succeeded", "reason": "Completed", "message": "Stored, verified and restored.", "tests": [test]}
    return told | {"backup": backup} | facts


@pytest.fixture
def shop(plane: ControlPlane) -> Iterator[Space]:
    name = f"test-{datetime.now(UTC):%H%M%S%f}"
    plane.kubectl("create", "namespace", name)
    yield Space(plane, name)
    plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def running(shop: Space, log: Path) -> Iterator[Operator]:
    with operator(shop.plane.kubeconfig, shop.namespace, log) as started:
        started.ready()
        yield started


def test_a_policy_becomes_a_cron_job_and_what_its_jobs_need(shop: Space, running: Operator):
    shop.policy(timeZone="Europe/Berlin")
    shop.becomes("backuppolicy", NAME, "SecretMissing")
    shop.secret()
    shop.becomes("backuppolicy", NAME, "TargetsUnknown")
    shop.policy(timeZone="Europe/Berlin", network={"egressTo": [{"podSelector": {}, "ports": ["27017"]}]})
    shop.becomes("backuppolicy", NAME, "Ready")
    cron = shop.get("cronjob", NAME)["spec"]
    assert (cron["schedule"], cron["timeZone"], cron["concurrencyPolicy"]) == ("0 2 * * *", "Europe/Berlin", "Forbid")
    role = shop.get("role", f"{NAME}-backup")["rules"][0]
    leases = role["resourceNames"]
    assert [name.rpartition("-")[0] for name in leases] == ["apm-backup-db", "apm-backup-store"]
    for name in leases:
        owners = shop.get("lease", name)["metadata"]["ownerReferences"]
        assert [owner["name"] for owner in owners] == [NAME]
    assert "geheim" not in json.dumps(cron)
    status = shop.status("backuppolicy", NAME)
    assert status["nextScheduleTime"] > now()
    # Its Events are written after the status: a Secret is missing, targets are unknown, it is ready.
    eventually("three Events", lambda: running.calls().get(("create", "Event"), 0) >= 3)
    before = running.calls()
    running.idle()
    assert running.calls() == before


def test_a_backup_made_by_hand_runs_and_reports(shop: Space, running: Operator):
    shop.secret()
    shop.policy(network=OPEN)
    shop.backup()
    shop.runs("by-hand")
    shop.becomes("backup", "by-hand", "Running")
    assert shop.status("backup", "by-hand")["phase"] == "Running"
    shop.ends("by-hand", report("by-hand"))
    shop.becomes("backup", "by-hand", "Completed")
    status = shop.status("backup", "by-hand")
    assert (status["documents"], status["verified"], status["size"]) == (42, "True", 1000)
    assert status["location"]["path"] == f"{shop.namespace}/{NAME}"
    eventually("the policy tells", lambda: shop.status("backuppolicy", NAME).get("lastBackup") == "by-hand")
    where = {"namespace": shop.namespace, "policy": NAME}
    eventually("and a metric", lambda: running.metric("apm_backup_documents", **where) == 42)
    assert running.metric("apm_backup_overdue_seconds", policy=NAME) == 0


def test_a_job_that_is_killed_has_failed(shop: Space, running: Operator):
    shop.secret()
    shop.policy(network=OPEN)
    shop.backup()
    shop.pod("by-hand")
    # Two more pods would have their try, after 10 and 20 s.
    shop.kubectl("patch", "job", "by-hand", "--type=merge", '--patch={"spec": {"backoffLimit": 0}}')
    shop.ends("by-hand", None, reason="OOMKilled", code=137)
    shop.becomes("backup", "by-hand", "OutOfMemory")
    eventually("the policy counts", lambda: shop.status("backuppolicy", NAME).get("failures") == {"OutOfMemory": 1})
    shop.backup("second")
    shop.runs("second")
    shop.kubectl("delete", "job", "second", "--cascade=foreground")
    shop.becomes("backup", "second", "JobGone")
    # The policy counts it in a pass of its own.
    eventually("both count", lambda: running.metric("apm_backup_failures_total", namespace=shop.namespace) == 2)


@pytest.mark.usefixtures("running")
def test_a_lost_node_holds_up_no_other_run(shop: Space):
    """Kubernetes waits for the node's word, and the Job with its policy of failures for Kubernetes."""
    shop.secret()
    shop.policy(network=OPEN)
    shop.backup()
    shop.bind("by-hand")
    shop.runs("by-hand")
    shop.becomes("backup", "by-hand", "Running")
    pod = shop.pod("by-hand")
    shop.kubectl("delete", "pod", pod, "--grace-period=1", "--wait=false")
    eventually("the operator gives it up", lambda: shop.reason("backup", "by-hand") == "PodLost", seconds=60)
    assert shop.get("pod", pod)
    eventually("its Job is gone", lambda: not shop.get("job", "by-hand"))
    shop.backup("next")
    shop.ends("next", report("next"))
    shop.becomes("backup", "next", "Completed")


def test_a_run_that_took_place_without_the_operator_is_adopted_once(shop: Space, log: Path):
    shop.secret()
    shop.policy(network=OPEN)
    with operator(shop.plane.kubeconfig, shop.namespace, log) as first:
        first.ready()
        shop.becomes("backuppolicy", NAME, "Ready")
    # Not before it is gone: a minute may begin at any time.
    shop.kubectl("patch", "cronjob", NAME, "--type=merge", '--patch={"spec":{"schedule":"* * * * *"}}')

    def run() -> str:
        found = shop.kubectl("get", "jobs", "--output=name").split()
        return found[0].partition("/")[2] if found else ""

    name = eventually("the CronJob makes a Job", run, seconds=90)
    shop.ends(name, report(name))
    assert not shop.get("backup", name)
    shop.kubectl("patch", "cronjob", NAME, "--type=merge", '--patch={"spec":{"suspend":true}}')
    with operator(shop.plane.kubeconfig, shop.namespace, log.with_name("second")) as second:
        second.ready()
        shop.becomes("backup", name, "Completed")
        shop.kubectl("delete", "backup", name)
    with operator(shop.plane.kubeconfig, shop.namespace, log.with_name("third")) as third:
        third.idle()
        assert not shop.get("backup", name)


@pytest.mark.usefixtures("running")
def test_files_go_before_a_policy_that_is_deleted_in_the_foreground(shop: Space):
    """The garbage collector deletes all that belongs to it while it waits for its files."""
    shop.secret()
    shop.policy(network=OPEN, deletionPolicy="Delete")
    shop.backup()
    shop.ends("by-hand", report("by-hand"))
    shop.becomes("backup", "by-hand", "Completed")
    shop.kubectl("delete", "backuppolicy", NAME, "--cascade=foreground", "--wait=false")

    def removal() -> str:
        return shop.kubectl("get", "jobs", f"--selector={GROUP}/job=remove", "--output=name").strip()

    job: str = eventually("a Job removes the files", removal).partition("/")[2]
    shop.pod(job)
    eventually("what belonged to the policy is gone", lambda: not shop.get("cronjob", NAME))
    eventually("its ServiceAccount too", lambda: not shop.get("serviceaccount", f"{NAME}-backup"), seconds=120)
    for kind in ("serviceaccount", "role", "rolebinding", "networkpolicy"):
        assert shop.get(kind, job)
    lease = shop.get("role", job)["rules"][0]["resourceNames"][0]
    assert shop.get("lease", lease)
    assert shop.reason("backuppolicy", NAME) == "Removing"
    shop.ends(job, {"result": "Succeeded", "reason": "Completed", "message": "1 backups were removed"})
    eventually("the policy is gone", lambda: not shop.get("backuppolicy", NAME))
    assert not shop.get("backup", "by-hand")
    for kind in ("job", "serviceaccount", "role", "rolebinding", "networkpolicy"):
        eventually(f"the {kind} is gone", lambda kind=kind: not shop.get(kind, job))


@pytest.mark.usefixtures("running")
def test_agents_rest_for_a_restore_and_come_back(shop: Space):
    shop.secret()
    shop.policy(network=OPEN, source={"mongodb": MONGODB, "databases": ["apm"]})
    shop.agent("one", state={"mongodb": MONGODB | {"database": "apm"}})
    shop.agent("two", state={"mongodb": MONGODB | {"database": "other"}})
    shop.backup()
    shop.ends("by-hand", report("by-hand"))
    shop.becomes("backup", "by-hand", "Completed")
    target = {"databases": [{"from": "apm", "to": "apm"}]}
    shop.apply(
        shop.object(
            "Restore",
            "back",
            {
                "from": {"backupRef": {"name": "by-hand"}},
                "target": target,
                "pauseAgents": True,
                "mode": "Replace",
                "network": OPEN,
            },
        )
    )
    shop.becomes("agent", "one", "Paused")
    assert shop.status("restore", "back")["phase"] == "Pausing"
    assert shop.get("deployment", "one")["spec"]["replicas"] == 0
    assert shop.reason("agent", "two") != "Paused"
    assert not shop.get("job", "back")
    rested = json.dumps({"status": {"observedGeneration": 2, "replicas": 0}})
    shop.kubectl("patch", "deployment", "one", "--subresource=status", "--type=merge", f"--patch={rested}")
    shop.runs("back")
    shop.becomes("restore", "back", "Running")
    told = {"result": "Failed", "reason": "RestoreDiffers", "message": "One document is missing."}
    shop.ends("back", told, reason="Error", code=1)
    shop.becomes("restore", "back", "RestoreDiffers")
    eventually("the agent is back", lambda: shop.get("deployment", "one")["spec"]["replicas"] == 1)


@pytest.mark.usefixtures("running")
def test_a_namespace_with_backups_can_be_deleted(shop: Space):
    """No Job can run in it any more that would remove what is stored."""
    shop.secret()
    shop.policy(network=OPEN, deletionPolicy="Delete")
    shop.backup()
    shop.ends("by-hand", report("by-hand"))
    shop.becomes("backup", "by-hand", "Completed")
    eventually("it is held", lambda: shop.get("backup", "by-hand")["metadata"].get("finalizers"))
    shop.kubectl("delete", "namespace", shop.namespace, "--wait=false")
    eventually("it is gone", lambda: not shop.get("namespace", shop.namespace), seconds=120)


@pytest.mark.usefixtures("running")
def test_agents_rest_until_the_pod_of_a_deleted_restore_is_gone(shop: Space):
    shop.secret()
    shop.policy(network=OPEN)
    shop.agent("one", state={"mongodb": MONGODB | {"database": "apm"}})
    shop.backup()
    shop.ends("by-hand", report("by-hand"))
    shop.becomes("backup", "by-hand", "Completed")
    spec = {"from": {"backupRef": {"name": "by-hand"}}, "pauseAgents": True, "network": OPEN}
    shop.apply(shop.object("Restore", "back", spec))
    shop.becomes("agent", "one", "Paused")
    rested = json.dumps({"status": {"observedGeneration": 2, "replicas": 0}})
    shop.kubectl("patch", "deployment", "one", "--subresource=status", "--type=merge", f"--patch={rested}")
    shop.bind("back")
    shop.runs("back")
    shop.becomes("restore", "back", "Running")
    shop.kubectl("delete", "restore", "back", "--wait=false")
    shop.becomes("restore", "back", "Stopping")
    pod = shop.pod("back")
    eventually("the pod is told to end", lambda: "deletionTimestamp" in shop.get("pod", pod)["metadata"], seconds=120)
    assert shop.get("deployment", "one")["spec"]["replicas"] == 0
    shop.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    eventually("the agent is back", lambda: shop.get("deployment", "one")["spec"]["replicas"] == 1)
    eventually("the Restore is gone", lambda: not shop.get("restore", "back"))


OPEN = {"egressTo": [{"podSelector": {}, "ports": ["27017"]}]}


@pytest.mark.usefixtures("running")
def test_a_report_made_by_hand_tells_where_it_went(shop: Space):
    shop.secret()
    shop.apply(shop.object("AgentReport", "weekly", {"store": {"mongodb": MONGODB}, "network": OPEN}))
    shop.becomes("agentreport", "weekly", "Ready")
    shop.kubectl("create", "job", "now", "--from=cronjob/weekly-report")
    shop.runs("now")
    told = {"result": "Succeeded", "reason": "Completed", "message": "The report was kept in MongoDB."}
    shop.ends("now", told)
    eventually("it is told", lambda: shop.status("agentreport", "weekly").get("lastReport") == "now")
    conditions = {each["type"]: each for each in shop.status("agentreport", "weekly")["conditions"]}
    assert conditions["Delivered"]["status"] == "True"
    assert conditions["Delivered"]["message"] == "The report was kept in MongoDB."
    shop.kubectl("create", "job", "again", "--from=cronjob/weekly-report")
    shop.pod("again")
    shop.ends("again", {"result": "Failed", "reason": "NotSent", "message": "Slack has refused it."}, code=1)

    def refused() -> bool:
        found = shop.status("agentreport", "weekly")["conditions"]
        return any(each["type"] == "Delivered" and each["reason"] == "NotSent" for each in found)

    eventually("the failure is told", refused)
    assert shop.status("agentreport", "weekly")["lastReport"] == "now"
    shop.kubectl("delete", "agentreport", "weekly", "--cascade=foreground", "--timeout=120s")
    assert not shop.kubectl("get", "cronjobs,roles", "--output=name").strip()
