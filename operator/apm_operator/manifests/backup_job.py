"""The CronJob of a policy, and the Jobs of backups and restores. Their pods pass Pod Security `restricted`."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from agent_runtime.spec.scalars import seconds
from apm_operator.api.backupjob import DEFAULT_JOB_RESOURCES
from apm_operator.kinds import CRON_JOBS, JOB_NAME_LABEL, JOBS
from apm_operator.manifests.backup import controller
from apm_operator.manifests.pod import TOKEN_DIR, TOKEN_SECONDS, USER_ID
from apm_operator.manifests.resources import complete

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_runtime.spec.secret import SecretKeyRef
    from apm_operator.backup.job import AnyJob
    from apm_operator.manifests.backup import Work
    from apm_operator.queue import Key

CONTAINER = "backup"
SECRETS_DIR = "/var/run/secrets/apm.valeo-neuroerp.com"
BACKUPS_DIR = "/backups"
_KEPT_SECONDS = 7 * 86_400
"""How long a Job that has ended, and with it its report, waits for the operator."""
_GRACE_SECONDS = 60
_TMP_LIMIT = "256Mi"


def path(reference: SecretKeyRef) -> str:
    """The file that holds a Secret's value inside of the pods."""
    return f"{SECRETS_DIR}/{reference.name}/{reference.key}"


def cron_job(
    work: Work, name: str, job: AnyJob, *, schedule: str, zone: str, deadline: int, suspend: bool
) -> dict[str, Any]:
    """What makes the Jobs of a schedule, whether the operator is there or not."""
    return work.manifest(
        CRON_JOBS,
        name,
        spec={
            "schedule": schedule,
            "timeZone": zone,
            "startingDeadlineSeconds": deadline,
            "concurrencyPolicy": "Forbid",
            "suspend": suspend,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 10,
            "jobTemplate": {"metadata": {"labels": work.labels(job.command)}, "spec": _spec(work, job)},
        },
    )


def single(work: Work, name: str, job: AnyJob, owner: tuple[Key, str] | None = None) -> dict[str, Any]:
    """One Job; `owner` is the Backup or Restore that it goes with, with its uid."""
    reference = controller(*owner) if owner is not None else None
    return work.manifest(JOBS, name, command=job.command, owner=reference, spec=_spec(work, job))


def _spec(work: Work, job: AnyJob) -> dict[str, Any]:
    return {
        # What a pod has left unfinished, the next one takes up, under the same name.
        "backoffLimit": 2,
        "podFailurePolicy": {"rules": [_DISRUPTED, _TOLD]},
        # The program knows its time too, and can say that it is over: it comes first.
        "activeDeadlineSeconds": ceil(seconds(work.template.timeout)) + _GRACE_SECONDS,
        "ttlSecondsAfterFinished": _KEPT_SECONDS,
        "template": {"metadata": {"labels": work.labels(job.command)}, "spec": _pod(work, job)},
    }


_DISRUPTED = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
"""A pod that had to leave its node, as when that is drained, has not failed."""
_TOLD = {"action": "FailJob", "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [1]}}
"""A Job that says itself why it has failed would fail again."""


def _pod(work: Work, job: AnyJob) -> dict[str, Any]:
    template = work.template
    return {
        "restartPolicy": "Never",
        "serviceAccountName": work.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(work, job)],
        "volumes": _volumes(work),
        **_present(
            imagePullSecrets=[_wire(each) for each in template.image_pull_secrets],
            nodeSelector=dict(template.node_selector),
            tolerations=[_wire(each) for each in template.tolerations],
            affinity=template.affinity,
            priorityClassName=template.priority_class_name,
        ),
    }


def _container(work: Work, job: AnyJob) -> dict[str, Any]:
    mounts: list[dict[str, Any]] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  a mount point, not a file
        {"name": "token", "mountPath": TOKEN_DIR, "readOnly": True},
    ]
    if work.mounted:
        mounts.append({"name": "secrets", "mountPath": SECRETS_DIR, "readOnly": True})
    if work.claim:
        mounts.append({"name": "backups", "mountPath": BACKUPS_DIR})
    return {
        "name": CONTAINER,
        "image": work.template.image or work.image,
        "imagePullPolicy": work.pull_policy,
        "env": [
            {"name": "APM_JOB", "value": job.to_json()},
            _from_field("APM_BACKUP_NAME", f"metadata.labels['{JOB_NAME_LABEL}']"),
            _from_field("POD_NAME", "metadata.name"),
            _from_field("POD_NAMESPACE", "metadata.namespace"),
        ],
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": mounts,
        "resources": complete(work.template.resources, DEFAULT_JOB_RESOURCES),
    }


def _volumes(work: Work) -> list[dict[str, Any]]:
    token = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    volumes: list[dict[str, Any]] = [
        {"name": "tmp", "emptyDir": {"sizeLimit": _TMP_LIMIT}},
        {"name": "token", "projected": {"defaultMode": 0o440, "sources": token}},
    ]
    if work.mounted:
        volumes.append({"name": "secrets", "projected": {"defaultMode": 0o440, "sources": _sources(work.mounted)}})
    if work.claim:
        volumes.append({"name": "backups", "persistentVolumeClaim": {"claimName": work.claim}})
    return volumes


def _sources(mounted: Iterable[SecretKeyRef]) -> list[dict[str, Any]]:
    keys: dict[str, set[str]] = {}
    for reference in mounted:
        keys.setdefault(reference.name, set()).add(reference.key)
    return [
        {"secret": {"name": name, "items": [{"key": key, "path": f"{name}/{key}"} for key in sorted(keys[name])]}}
        for name in sorted(keys)
    ]


def _from_field(name: str, field: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": field}}}


def _wire(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
