"""Passes over an AgentReport, with an API in memory."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from apm_operator import metrics
from apm_operator.reconcile import reportmetrics
from apm_operator.report.job import ReportJob
from unit.apm_operator.vault import MONGODB, Vault

GOLDEN = Path(__file__).parent / "golden"
GROUP = "apm.valeo-neuroerp.com"
STORE = {"store": {"mongodb": MONGODB}}
FULL: dict[str, Any] = {
    "schedule": "30 6 * * *",
    "timeZone": "Europe/Berlin",
    "period": "Day",
    "startingDeadlineSeconds": 600,
    "prometheus": {
        "url": "https://192.0.2.9:9090",
        "tokenSecretRef": {"name": "prometheus", "key": "token"},
        "caSecretRef": {"name": "prometheus", "key": "ca.crt"},
    },
    "store": {
        "mongodb": {
            "uriSecretRef": {"name": "apm-mongodb", "key": "uri"},
            "tls": {"caSecretRef": {"name": "apm-mongodb", "key": "ca.crt"}},
        },
        "database": "reports",
        "days": 90,
    },
    "slack": {"webhookSecretRef": {"name": "slack", "key": "url"}},
    "mail": {
        "to": ["ops@example.org"],
        "baseURL": "http://192.0.2.8:8000/api/v1/communications",
        "apiKeySecretRef": {"name": "mail", "key": "api-key"},
    },
    "job": {"imagePullSecrets": [{"name": "registry"}], "timeout": "5m"},
}


@pytest.fixture
def vault() -> Vault:
    return Vault()


def given(vault: Vault, **spec: Any) -> None:
    vault.write("AgentReport", "weekly", spec or STORE)


async def reconcile(vault: Vault) -> Any:
    return await vault.reconcile("AgentReport", "weekly")


def condition(vault: Vault, kind: str) -> dict[str, Any]:
    found = vault.status("AgentReport", "weekly").get("conditions", ())
    return next((each for each in found if each["type"] == kind), {})


def ended(vault: Vault, name: str, report: dict[str, Any] | None, at: str = "2026-05-04T07:00:30Z") -> None:
    """A Job of the CronJob ends, and its pod tells how."""
    vault.kube.version += 1
    labels = {f"{GROUP}/agent-report": "weekly", f"{GROUP}/job": "report"}
    version = {"resourceVersion": str(vault.kube.version)}
    good = bool(report and report["result"] == "Succeeded")
    result = {"type": "Complete" if good else "Failed", "status": "True", "lastTransitionTime": at}
    job = {
        "kind": "Job",
        "metadata": {"name": name, "namespace": "shop", "uid": f"job-{name}", "labels": labels, **version},
        "status": {"conditions": [result], **({"completionTime": at} if good else {})},
    }
    state = {"terminated": {"exitCode": 0 if good else 1, "message": json.dumps(report) if report else ""}}
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-x",
            "namespace": "shop",
            "uid": f"pod-{name}",
            "labels": labels | {"batch.kubernetes.io/job-name": name},
            "ownerReferences": [{"kind": "Job", "name": name, "uid": f"job-{name}", "controller": True}],
            **version,
        },
        "status": {"containerStatuses": [{"name": "report", "state": state}]},
    }
    vault.cache.observe(pod, deleted=False)
    vault.cache.observe(job, deleted=False)


def children(vault: Vault) -> list[dict[str, Any]]:
    kinds = ("ServiceAccount", "Role", "RoleBinding", "NetworkPolicy", "CronJob")
    return [found for kind in kinds for (each, _, _), found in sorted(vault.kube.objects.items()) if each == kind]


@pytest.mark.parametrize(("case", "spec"), [("report-small", STORE), ("report-full", FULL)])
async def test_what_a_report_becomes_is_as_in_the_golden_file(vault: Vault, case: str, spec: dict[str, Any]):
    vault.secret("prometheus", **{"token": "t", "ca.crt": "c"})
    vault.secret("apm-mongodb", **{"uri": "mongodb://u:geheim@10.1.2.3:27017/", "ca.crt": "c"})
    vault.secret("slack", url="https://192.0.2.7/services/geheim")
    vault.secret("mail", **{"api-key": "geheim"})
    given(vault, **spec)
    await reconcile(vault)
    assert condition(vault, "Ready")["reason"] == "Ready"
    made = children(vault)
    for each in made:
        for name in ("resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"):
            each["metadata"].pop(name, None)
    text = yaml.safe_dump_all(made, sort_keys=True, width=110)
    assert "geheim" not in text
    file = GOLDEN / f"{case}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


async def test_every_file_that_a_job_is_told_of_is_mounted(vault: Vault):
    given(vault, **FULL)
    await reconcile(vault)
    pod = vault.get("CronJob", "weekly-report")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    told = ReportJob.model_validate_json(env["APM_JOB"])
    at = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    there = {
        f"{at[volume['name']]}/{item['path']}"
        for volume in pod["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        for item in source.get("secret", {}).get("items", ())
    }
    named = json.dumps(told.model_dump())
    assert len(there) == 6
    assert all(file in named for file in there)
    assert told.cron_job == "weekly-report"
    assert (told.seconds, told.slice_seconds, told.deadline) == (86_400, 3600, 300)


async def test_the_next_report_is_told_and_nothing_is_written_twice(vault: Vault):
    given(vault)
    assert (await reconcile(vault)).result == "changed"
    status = vault.status("AgentReport", "weekly")
    assert status["nextScheduleTime"] == "2026-05-04T07:00:00Z"
    assert condition(vault, "Delivered")["reason"] == "NotYet"
    again = await reconcile(vault)
    assert again.result == "unchanged"
    due = (datetime.fromisoformat("2026-05-04T07:00:00+00:00") - vault.now).total_seconds()
    assert due <= again.again <= due + 2


async def test_a_report_that_went_out_is_told_and_stays_told(vault: Vault):
    given(vault)
    await reconcile(vault)
    ended(vault, "weekly-report-1", {"result": "Succeeded", "reason": "Completed", "message": "It was sent."})
    await reconcile(vault)
    status = vault.status("AgentReport", "weekly")
    assert (status["lastReport"], status["lastReportTime"]) == ("weekly-report-1", "2026-05-04T07:00:30Z")
    assert condition(vault, "Delivered")["status"] == "True"
    assert condition(vault, "Delivered")["message"] == "It was sent."
    vault.restart()
    await reconcile(vault)
    assert vault.status("AgentReport", "weekly")["lastReport"] == "weekly-report-1"
    assert condition(vault, "Delivered")["status"] == "True"


async def test_one_that_did_not_is_told_once_in_an_event(vault: Vault):
    given(vault)
    await reconcile(vault)
    ended(vault, "weekly-report-1", {"result": "Failed", "reason": "NotSent", "message": "Slack has refused it."})
    await reconcile(vault)
    await reconcile(vault)
    assert condition(vault, "Delivered")["status"] == "False"
    assert condition(vault, "Delivered")["reason"] == "NotSent"
    assert condition(vault, "Ready")["status"] == "True"
    assert vault.events().count("NotSent") == 1
    assert "lastReport" not in vault.status("AgentReport", "weekly")


async def test_the_newest_report_counts(vault: Vault):
    given(vault)
    await reconcile(vault)
    good = {"result": "Succeeded", "reason": "Completed", "message": "It was sent."}
    ended(vault, "weekly-report-1", {**good, "result": "Failed", "reason": "NotSent"}, "2026-05-04T07:00:30Z")
    ended(vault, "weekly-report-2", good, "2026-05-11T07:00:30Z")
    await reconcile(vault)
    assert condition(vault, "Delivered")["status"] == "True"
    assert vault.status("AgentReport", "weekly")["lastReport"] == "weekly-report-2"


@pytest.mark.parametrize(
    ("spec", "reason", "told"),
    [
        ({"slack": {"webhookSecretRef": {"name": "none", "key": "url"}}}, "SecretMissing", "none"),
        (
            STORE | {"prometheus": {"url": "http://prometheus.example.com"}},
            "TargetsUnknown",
            "Prometheus: prometheus.example.com is no Service",
        ),
        (STORE | {"schedule": "0 0 30 2 *"}, "SpecInvalid", "`spec.schedule` is wrong"),
    ],
)
async def test_what_is_in_the_way_is_told(vault: Vault, spec: dict[str, Any], reason: str, told: str):
    given(vault, **spec)
    await reconcile(vault)
    assert condition(vault, "Ready")["reason"] == reason
    assert told in condition(vault, "Ready")["message"]


async def test_a_webhook_is_opened_without_being_shown(vault: Vault):
    vault.secret("slack", url="https://hooks.slack.com/services/geheim")
    given(vault, slack={"webhookSecretRef": {"name": "slack", "key": "url"}})
    await reconcile(vault)
    told = condition(vault, "Ready")
    assert told["reason"] == "TargetsUnknown"
    assert "Slack: hooks.slack.com is no Service" in told["message"]
    assert "geheim" not in json.dumps([each for each in vault.kube.objects.values() if each["kind"] != "Secret"])
    given(vault, slack={"webhookSecretRef": {"name": "slack", "key": "url"}}, network={"allowInternet": True})
    await reconcile(vault)
    assert condition(vault, "Ready")["reason"] == "Ready"


async def test_a_suspended_report_has_no_next_one(vault: Vault):
    given(vault)
    await reconcile(vault)
    given(vault, **STORE, suspend=True)
    outcome = await reconcile(vault)
    assert condition(vault, "Ready")["reason"] == "Suspended"
    assert "nextScheduleTime" not in vault.status("AgentReport", "weekly")
    assert vault.get("CronJob", "weekly-report")["spec"]["suspend"] is True
    assert outcome.again is None


async def test_somebody_elses_object_is_left_alone(vault: Vault):
    vault.kube.objects["CronJob", "shop", "weekly-report"] = {
        "kind": "CronJob",
        "metadata": {"name": "weekly-report", "namespace": "shop", "uid": "other", "resourceVersion": "1"},
    }
    given(vault)
    outcome = await reconcile(vault)
    assert condition(vault, "Ready")["reason"] == "NameTaken"
    assert outcome.failed


async def test_a_lost_node_holds_up_no_later_report(vault: Vault):
    """Kubernetes waits for the node's word without an end, and the CronJob for Kubernetes."""
    given(vault)
    await reconcile(vault)
    begun(vault, "weekly-report-1", leaves="2026-05-01T12:00:00Z")
    assert (await reconcile(vault)).again == 30.0
    assert ("Job", "shop", "weekly-report-1") in vault.kube.objects
    vault.at("2026-05-01T12:01")
    await reconcile(vault)
    assert ("Job", "shop", "weekly-report-1") not in vault.kube.objects
    assert "PodLost" in vault.events()


async def test_a_job_that_can_not_start_is_told_while_it_goes_on(vault: Vault):
    given(vault)
    await reconcile(vault)
    begun(vault, "weekly-report-1", waiting="ImagePullBackOff")
    await reconcile(vault)
    assert condition(vault, "Ready")["reason"] == "ImagePullFailed"
    assert condition(vault, "Delivered")["reason"] == "NotYet"


def begun(vault: Vault, name: str, *, leaves: str = "", waiting: str = "") -> None:
    """A Job of the CronJob has a pod that runs, which somebody may have asked to end; or one that waits."""
    vault.kube.version += 1
    labels = {f"{GROUP}/agent-report": "weekly", f"{GROUP}/job": "report"}
    version = {"resourceVersion": str(vault.kube.version)}
    job = {
        "kind": "Job",
        "metadata": {"name": name, "namespace": "shop", "uid": f"job-{name}", "labels": labels, **version},
        "status": {"active": 1},
    }
    state: dict[str, Any] = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-x",
            "namespace": "shop",
            "uid": f"pod-{name}",
            "labels": labels | {"batch.kubernetes.io/job-name": name},
            "ownerReferences": [{"kind": "Job", "name": name, "uid": f"job-{name}", "controller": True}],
            **({"deletionTimestamp": leaves} if leaves else {}),
            **version,
        },
        "status": {
            "phase": "Pending" if waiting else "Running",
            "containerStatuses": [{"name": "report", "state": state}],
        },
    }
    for body in (job, pod):
        vault.kube.objects[str(body["kind"]), "shop", str(body["metadata"]["name"])] = body
        vault.cache.observe(body, deleted=False)


def overdue(vault: Vault) -> float | None:
    reportmetrics.export(vault.cache, vault.now)
    return metrics.REGISTRY.get_sample_value("apm_report_overdue_seconds", {"namespace": "shop", "report": "weekly"})


async def test_a_report_that_did_not_go_out_is_overdue_by_its_own_schedule(vault: Vault):
    given(vault)
    await reconcile(vault)
    assert overdue(vault) == 0
    vault.at("2026-05-04T09:00")
    assert overdue(vault) == 2 * 3600
    ended(vault, "weekly-report-1", {"result": "Failed", "reason": "NotSent", "message": "So."})
    await reconcile(vault)
    assert overdue(vault) == 2 * 3600
    ended(vault, "now", {"result": "Succeeded", "reason": "Completed", "message": "So."}, "2026-05-04T08:59:00Z")
    await reconcile(vault)
    assert overdue(vault) == 0
    given(vault, **STORE, suspend=True)
    assert overdue(vault) is None


async def test_what_was_due_before_a_suspension_ended_is_not_late(vault: Vault):
    given(vault)
    await reconcile(vault)
    given(vault, **STORE, suspend=True)
    await reconcile(vault)
    assert vault.status("AgentReport", "weekly")["observedSchedule"] == "suspended"
    vault.at("2026-05-20T12:00")
    given(vault)
    await reconcile(vault)
    assert overdue(vault) == 0
    vault.at("2026-05-25T08:00")
    await reconcile(vault)
    assert overdue(vault) == 3600, "and what is due after it is"


async def test_what_a_denser_schedule_would_have_been_due_before_it_was_written_is_not_late(vault: Vault):
    given(vault)
    await reconcile(vault)
    ended(vault, "weekly-report-1", {"result": "Succeeded", "reason": "Completed", "message": "So."})
    await reconcile(vault)
    vault.at("2026-05-08T12:00")
    given(vault, **STORE, schedule="0 * * * *")
    assert overdue(vault) is None, "nobody has seen it yet"
    await reconcile(vault)
    assert overdue(vault) == 0
    vault.at("2026-05-08T14:00")
    await reconcile(vault)
    assert overdue(vault) == 3600
    vault.restart()
    assert overdue(vault) == 3600
    given(vault, **STORE, schedule="0 * * * *", timeZone="Europe/Berlin")
    await reconcile(vault)
    assert overdue(vault) == 0


async def test_a_report_whose_objects_are_refused_is_late_all_the_same(vault: Vault):
    given(vault)
    vault.kube.objects["CronJob", "shop", "weekly-report"] = {
        "kind": "CronJob",
        "metadata": {"name": "weekly-report", "namespace": "shop", "uid": "other", "resourceVersion": "1"},
    }
    vault.restart()
    await reconcile(vault)
    assert condition(vault, "Ready")["status"] == "False"
    vault.at("2026-05-04T09:00")
    assert overdue(vault) == 2 * 3600
