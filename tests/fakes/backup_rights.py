"""What has to happen to policies, backups, restores and reports for the operator to make use of its rights to them."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

GROUP = "apm.valeo-neuroerp.com"
_MONGODB = {"uriSecretRef": {"name": "db", "key": "uri"}}
_SPEC = {
    "schedule": "0 0 1 1 *",
    "source": {"mongodb": _MONGODB},
    "storage": {"persistentVolumeClaim": {"size": "1Mi"}},
    "network": {"egressTo": [{"podSelector": {}, "ports": ["27017"]}]},
    "deletionPolicy": "Retain",
}
_SECONDS = 30
_POD = {"restartPolicy": "Never", "containers": [{"name": "backup", "image": "other"}]}


def use(kubectl: Callable[..., str]) -> None:
    """Have it all happen; what is made is gone afterwards.

    Args:
        kubectl: kubectl in the agents' namespace.
    """
    if not kubectl("get", "secret", "db", "--ignore-not-found", "--output=name"):
        kubectl("create", "secret", "generic", "db", "--from-literal=uri=mongodb://db:27017/")
    foreign = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": {"spec": _POD}}}}
    _make(kubectl, "batch/v1", "CronJob", "taken-cronjob", foreign)
    _make(kubectl, f"{GROUP}/v1alpha1", "BackupPolicy", "taken-cronjob", _SPEC)
    _until(kubectl, "backuppolicy", "taken-cronjob", "NameTaken")
    tested = {"verification": {"schedule": "0 0 2 1 *"}, "deletionPolicy": "Delete"}
    kept = f"kept-{secrets.token_hex(3)}"  # without a controller for them, deleted claims stay
    _make(kubectl, f"{GROUP}/v1alpha1", "BackupPolicy", kept, _SPEC | tested)
    _until(kubectl, "backuppolicy", kept, "Ready")
    _make(kubectl, f"{GROUP}/v1alpha1", "BackupPolicy", kept, _SPEC)
    _await(
        "one CronJob", lambda: not kubectl("get", "cronjob", f"{kept}-verify", "--ignore-not-found", "--output=name")
    )
    waiting = {"suspend": True, "template": {"spec": _POD}}
    _make(kubectl, "batch/v1", "Job", "taken-job", waiting)
    _make(kubectl, f"{GROUP}/v1alpha1", "Backup", "taken-job", {"policyRef": {"name": kept}})
    _until(kubectl, "backup", "taken-job", "NameTaken")
    _scheduled(kubectl, kept, waiting)
    _make(kubectl, f"{GROUP}/v1alpha1", "Restore", "back", {"from": {"backupRef": {"name": "nothing"}}})
    _until(kubectl, "restore", "back", "BackupMissing")
    _held(kubectl, f"{kept}-backups")
    _make(kubectl, f"{GROUP}/v1alpha1", "AgentReport", "summary", {"store": {"mongodb": _MONGODB}})
    _until(kubectl, "agentreport", "summary", "TargetsUnknown")
    kubectl("delete", "agentreports,backuppolicies,backups,restores", "--all", "--timeout=60s")
    kubectl("delete", "cronjob/taken-cronjob", "job/taken-job", f"job/{kept}-1", "--ignore-not-found")
    claims = ("taken-cronjob-backups", f"{kept}-backups")  # they outlive their policies
    kubectl("delete", "persistentvolumeclaims", *claims, "--ignore-not-found", "--wait=false")


def _scheduled(kubectl: Callable[..., str], kept: str, spec: dict[str, Any]) -> None:
    """A run that the operator has not made itself; the Job is as the CronJob would have made it."""
    uid = json.loads(kubectl("get", "cronjob", kept, "--output=json"))["metadata"]["uid"]
    labels = {
        "app.kubernetes.io/managed-by": "apm-operator",
        f"{GROUP}/backup-policy": kept,
        f"{GROUP}/job": "backup",
    }
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": kept, "uid": uid, "controller": True}
    _make(kubectl, "batch/v1", "Job", f"{kept}-1", spec, labels=labels, ownerReferences=[owner])
    _until(kubectl, "backup", f"{kept}-1", "Pending")


def _held(kubectl: Callable[..., str], claim: str) -> None:
    """A Restore for which agents rest, if there are any, is gone no sooner than its pod."""
    place = {"storage": {"persistentVolumeClaim": {"claimName": claim}}}
    spec = {"from": {"location": place}, "target": {"mongodb": _MONGODB}, "namespaces": ["nobodys.*"]}
    _make(kubectl, f"{GROUP}/v1alpha1", "Restore", "held", spec | {"pauseAgents": True})
    asked = ("get", "restore", "held", "--output=jsonpath={.metadata.finalizers}")
    _await("a Restore is held", lambda: "files" in kubectl(*asked))


def _make(
    kubectl: Callable[..., str], version: str, kind: str, name: str, spec: dict[str, Any], **metadata: Any
) -> None:
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
    kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=json.dumps(body))


def _until(kubectl: Callable[..., str], kind: str, name: str, reason: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        found = kubectl("get", kind, name, "--ignore-not-found", "--output=json")
        conditions = (json.loads(found).get("status", {}) if found else {}).get("conditions", ())
        if any(each["type"] == "Ready" and each["reason"] == reason for each in conditions):
            return
        assert time.monotonic() < deadline, f"{kind} {name} is not {reason}: {conditions}"
        time.sleep(0.1)


def _await(what: str, check: Callable[[], object]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not check():
        assert time.monotonic() < deadline, f"{what}: not within {_SECONDS} s"
        time.sleep(0.1)
