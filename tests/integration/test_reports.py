"""A Job of a report as a process: a real Prometheus, API server and MongoDB, and receivers that check what comes."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymongo import MongoClient

from apm_operator.backup.report import Report
from cluster.controlplane import ControlPlane
from cluster.settings import REPOSITORY
from fakes import slack
from fakes.integrations_server import IntegrationsServer, integrations_server
from integration.operators import agent, eventually, operator
from integration.prometheuses import prometheus

DAY, STEP = 86_400, 300


@pytest.fixture
def source(tmp_path: Path, namespace: str) -> Iterator[str]:
    """Prometheus: for two days an agent ran 10 times in 5 minutes; one in 10 runs failed."""
    with prometheus(tmp_path, samples(namespace, int(time.time()))) as url:
        yield url


def samples(namespace: str, now: int) -> Iterator[tuple[str, Mapping[str, str], float, float]]:
    own = {"namespace": namespace, "agent": "clerk", "pod": "clerk-1"}
    times = range(now - 2 * DAY, now + STEP, STEP)

    def series(metric: str, labels: Mapping[str, str], step: float) -> Iterator[Any]:
        yield from ((metric, own | labels, float(when), step * at) for at, when in enumerate(times))

    yield from ((metric, own, float(when), 0.0) for metric in ("apm_agent_runs_running",) for when in times)
    yield from series("apm_agent_runs_total", {"status": "success"}, 9)
    yield from series("apm_agent_runs_total", {"status": "error"}, 1)
    for limit, step in (("1", 5), ("10", 10), ("+Inf", 10)):
        yield from series("apm_agent_run_duration_seconds_bucket", {"le": limit}, step)
    yield from series("apm_agent_model_tokens_total", {"direction": "input"}, 2000)
    yield from series("apm_agent_model_cost_total", {"model": "default"}, 0.5)
    yield from (("apm_agent_budget_used_ratio", own | {"resource": "cost"}, float(w), w % DAY / DAY) for w in times)
    yield from (("apm_agent_certificate_expiry_timestamp_seconds", own, float(w), now + 5.0 * DAY) for w in times)
    yield from (("apm_agent_certificate_life_seconds", own, float(w), 10.0 * DAY) for w in times)


def backup_status(number: int) -> dict[str, Any]:
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600 * number))
    return {"status": {"phase": "Completed", "verified": "True", "finished": finished}}


def run(folder: Path, kubeconfig: Path, job: dict[str, Any]) -> tuple[int, Report, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}",
        "KUBECONFIG": str(kubeconfig),
        "APM_JOB": json.dumps(job),
        "APM_BACKUP_NAME": "by-hand",
        "APM_JOB_UID": "run-1",
        "APM_TERMINATION_LOG": str(folder / "ended"),
    }
    command = [sys.executable, "-m", "apm_operator.report"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, Report.model_validate_json((folder / "ended").read_text()), done.stdout


async def test_a_day_is_summed_up_kept_and_sent(
    *,
    control_plane: ControlPlane,
    namespace: str,
    source: str,
    mounted: Path,
    database: str,
    mongodb_uri: str,
    tmp_path: Path,
):
    made(control_plane, namespace)
    with slack.running() as channel:
        async with integrations_server() as mail:
            wanted = job(
                namespace=namespace, source=source, mounted=mounted, database=database, channel=channel, mail=mail
            )
            code, ended, text = await asyncio.to_thread(run, tmp_path, control_plane.kubeconfig, wanted)
    assert (code, ended.result, ended.reason) == (0, "Succeeded", "Completed"), ended
    assert f"# Agents of {namespace}" in text
    cells = next(line for line in text.splitlines() if line.startswith("| clerk |")).split(" | ")
    assert cells[1:4] == ["2880", "288", "90 %"]
    assert cells[4] == "1.0 s"
    assert cells[6:] == ["576.0 k", "144.00 |"]
    assert "| silent | unknown | unknown | unknown |" in text
    assert "| clerk | no budget | 9" in text  # of a day that is nearly over somewhere in the span
    assert "| clerk | 5 d |" in text
    assert "| nightly | 2 | 0 | 2 |" in text
    assert "auth.anonymous" in text
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        (kept,) = client[database]["reports"].find({"namespace": namespace})
        indexes = client[database]["reports"].index_information()
    assert kept["_id"] == "run-1"
    assert kept["numbers"]["runs"] == 2880
    assert kept["markdown"] == text.removesuffix("\n")
    assert kept["html"].count("<svg") == 3
    assert set(kept["sent"]) == {"Slack", "ops@example.org"}
    assert any(index.get("expireAfterSeconds") == 0 for index in indexes.values())
    assert "2880" in json.dumps(channel.messages[0].body)
    assert [each.body["to"] for each in mail.done] == ["ops@example.org"]


def test_without_prometheus_the_rest_is_told_and_the_numbers_are_unknown(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    made(control_plane, namespace)
    wanted = {**base(namespace), "prometheus": {"url": "http://127.0.0.1:1"}}
    code, ended, text = run(tmp_path, control_plane.kubeconfig, wanted)
    assert (code, ended.reason) == (0, "NumbersUnknown")
    assert "- Runs: unknown" in text
    assert "| clerk | unknown | unknown | unknown |" in text
    assert "| nightly | 2 | 0 | 2 |" in text


def made(plane: ControlPlane, namespace: str) -> None:
    """Two agents, of which Prometheus knows one, and two backups of a policy."""
    source = {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}}
    policy = {"source": source, "storage": {"persistentVolumeClaim": {"claimName": "backups"}}}
    version = {"apiVersion": "apm.valeo-neuroerp.com/v1alpha1"}
    items: list[dict[str, Any]] = [agent("clerk", namespace, tls={"mode": "Enabled"}), agent("silent", namespace)]
    items.append(version | {"kind": "BackupPolicy", "metadata": {"name": "nightly"}, "spec": policy})
    items += [
        version
        | {"kind": "Backup", "metadata": {"name": f"nightly-{number}"}, "spec": {"policyRef": {"name": "nightly"}}}
        for number in (1, 2)
    ]
    whole = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    plane.kubectl("--namespace", namespace, "apply", "--filename=-", stdin=whole)
    for number in (1, 2):
        patch = json.dumps(backup_status(number))
        plane.kubectl(
            *("--namespace", namespace, "patch", "backup", f"nightly-{number}"),
            *("--subresource=status", "--type=merge", f"--patch={patch}"),
        )


def base(namespace: str) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "name": "daily",
        "cronJob": "daily-report",
        "seconds": DAY,
        "sliceSeconds": 3600,
        "timeZone": "Europe/Berlin",
    }


def job(
    *, namespace: str, source: str, mounted: Path, database: str, channel: slack.Slack, mail: IntegrationsServer
) -> dict[str, Any]:
    (mounted / "webhook").write_text(f"{channel.url}/services/T0/B0/token")
    return {
        **base(namespace),
        "prometheus": {"url": source},
        "store": {"mongodb": {"uriFile": str(mounted / "apm-mongodb" / "uri")}, "database": database, "days": 30},
        "slack": {"urlFile": str(mounted / "webhook")},
        "mail": {"baseUrl": mail.address("communications"), "to": ["ops@example.org"]},
    }


def test_the_operator_makes_what_a_report_needs_and_the_rights_are_enough(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    made(control_plane, namespace)

    def kubectl(*arguments: str, stdin: str | None = None) -> str:
        return control_plane.kubectl("--namespace", namespace, *arguments, stdin=stdin)

    def found() -> dict[str, Any]:
        told: dict[str, Any] = json.loads(kubectl("get", "agentreport", "daily", "--output=json"))
        return told

    def reason() -> str:
        conditions = found().get("status", {}).get("conditions", ())
        return next((each["reason"] for each in conditions if each["type"] == "Ready"), "")

    kubectl("create", "secret", "generic", "slack", "--from-literal=url=http://192.0.2.7/services/hidden")
    spec = {"schedule": "0 7 * * *", "period": "Day", "slack": {"webhookSecretRef": {"name": "slack", "key": "url"}}}
    report = {"apiVersion": "apm.valeo-neuroerp.com/v1alpha1", "kind": "AgentReport", "metadata": {"name": "daily"}}
    kubectl("apply", "--filename=-", stdin=json.dumps(report | {"spec": spec}))
    with operator(control_plane.kubeconfig, namespace, tmp_path / "operator.log") as running:
        eventually("the report is ready", lambda: reason() == "Ready")
        running.idle()
        assert found()["status"]["nextScheduleTime"].endswith("T07:00:00Z")
        cron_job = json.loads(kubectl("get", "cronjob", "daily-report", "--output=json"))
        policy = json.loads(kubectl("get", "networkpolicy", "daily-report", "--output=json"))
        running.end()
    assert {"ports": [{"port": 80, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]} in (
        policy["spec"]["egress"]
    )
    pod = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    token = kubectl("create", "token", pod["serviceAccountName"]).strip()
    own = kubeconfig(control_plane, token, tmp_path / "kubeconfig")
    code, ended, text = run(tmp_path, own, base(namespace))
    assert (code, ended.reason) == (0, "NumbersUnknown"), ended
    assert "| nightly | 2 | 0 | 2 |" in text
    assert "| silent | anonymous |" in text
    code, ended, _ = run(tmp_path, own, {**base(namespace), "namespace": "default"})
    assert (code, ended.reason) == (75, "ApiUnavailable")
    account = pod["serviceAccountName"]
    for resource in ("secrets", "configmaps", "pods"):
        assert not may_list(control_plane, namespace, account, resource)


def kubeconfig(plane: ControlPlane, token: str, file: Path) -> Path:
    """For who has nothing but this token."""
    config = yaml.safe_load(plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    file.write_text(yaml.safe_dump(config))
    return file


def may_list(plane: ControlPlane, namespace: str, account: str, resource: str) -> bool:
    user = f"system:serviceaccount:{namespace}:{account}"
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": {"verb": "list", "resource": resource, "namespace": namespace}},
    }
    answer = json.loads(plane.kubectl("create", "--filename=-", "--output=json", stdin=json.dumps(review)))
    return bool(answer["status"]["allowed"])
