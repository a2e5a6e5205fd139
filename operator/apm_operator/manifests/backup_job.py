"""The CronJob of a policy or a report, and the Jobs of backups."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from agent_runtime.spec.scalars import seconds
from apm_operator.api.backupjob import DEFAULT_JOB_RESOURCES
from apm_operator.kinds import CRON_JOBS, JOB_NAME_LABEL, JOB_UID_LABEL, JOBS
from apm_operator.manifests.backup import controller
from apm_operator.manifests.parts import container_security, from_field, pod_security, present, wire
from apm_operator.manifests.pod import TOKEN_DIR, TOKEN_SECONDS
from apm_operator.manifests.resources import complete

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_runtime.spec.secret import SecretKeyRef
    from apm_operator.backup.job import AnyJob
    from apm_operator.manifests.backup import Work
    from apm_operator.queue import Key
    from apm_operator.report.job import ReportJob

CONTAINERS = ("backup", "report")
"""Names of the container of such pods."""
SECRETS_DIR = "/var/run/secrets/apm.valeo-neuroerp.com"
BACKUPS_DIR = "/backups"
_COMMANDS = {"report": ["python3", "-m", "apm_operator.report"]}
"""Where the image's own command is another one: reports are made by the operator's image."""
_KEPT_SECONDS = 7 * 86_400
"""How long a Job that has ended, and with it its report, waits for the operator."""
_GRACE_SECONDS = 60
_TMP_LIMIT = "256Mi"


def path(reference: SecretKeyRef) -> str:
    """The file that holds a Secret's value inside of the pods."""
    return f"{SECRETS_DIR}/{reference.name}/{reference.key}"


def cron_job(
    work: Work, name: str, job: AnyJob | ReportJob, *, schedule: str, zone: str, deadline: int, suspend: bool
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


def single(work: Work, name: str, job: AnyJob | ReportJob, owner: tuple[Key, str] | None = None) -> dict[str, Any]:
    """One Job; `owner` is the Backup or Restore that it goes with, with its uid."""
    reference = controller(*owner) if owner is not None else None
    return work.manifest(JOBS, name, command=job.command, owner=reference, spec=_spec(work, job))


def removal(work: Work, job: AnyJob | ReportJob) -> dict[str, Any]:
    """A Job that belongs to nobody: with what it removes the garbage collector would take it along.

    It is suspended, since what it needs is to belong to it, and so has to come after it.
    """
    made = work.manifest(JOBS, work.name, command=job.command, spec=_spec(work, job) | {"suspend": True})
    del made["metadata"]["ownerReferences"]
    return made


def _spec(work: Work, job: AnyJob | ReportJob) -> dict[str, Any]:
    return {
        # What a pod has left unfinished, the next one takes up, under the same name.
        "backoffLimit": 2,
        "podFailurePolicy": {"rules": [_DISRUPTED, _told(work)]},
        # The program knows its time too, and can say that it is over: it comes first.
        "activeDeadlineSeconds": ceil(seconds(work.template.timeout)) + _GRACE_SECONDS,
        "ttlSecondsAfterFinished": _KEPT_SECONDS,
        "template": {"metadata": {"labels": work.labels(job.command)}, "spec": _pod(work, job)},
    }


_DISRUPTED = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
"""A pod that had to leave its node, as when that is drained, has not failed."""


def _told(work: Work) -> dict[str, Any]:
    """A Job that says itself why it has failed would fail again."""
    codes = {"containerName": work.program, "operator": "In", "values": [1]}
    return {"action": "FailJob", "onExitCodes": codes}


def _pod(work: Work, job: AnyJob | ReportJob) -> dict[str, Any]:
    template = work.template
    return {
        "restartPolicy": "Never",
        "serviceAccountName": work.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": pod_security(fsGroupChangePolicy="OnRootMismatch"),
        "containers": [_container(work, job)],
        "volumes": _volumes(work),
        **present(
            imagePullSecrets=wire(template.image_pull_secrets),
            nodeSelector=dict(template.node_selector),
            tolerations=wire(template.tolerations),
            affinity=template.affinity,
            priorityClassName=template.priority_class_name,
        ),
    }


def _container(work: Work, job: AnyJob | ReportJob) -> dict[str, Any]:
    mounts: list[dict[str, Any]] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  a mount point, not a file
        {"name": "token", "mountPath": TOKEN_DIR, "readOnly": True},
    ]
    if work.mounted:
        mounts.append({"name": "secrets", "mountPath": SECRETS_DIR, "readOnly": True})
    if work.claim:
        mounts.append({"name": "backups", "mountPath": BACKUPS_DIR})
    return {
        "name": work.program,
        "image": work.template.image or work.image,
        **present(command=_COMMANDS.get(work.program)),
        "imagePullPolicy": work.pull_policy,
        "env": [
            {"name": "APM_JOB", "value": job.to_json()},
            from_field("APM_BACKUP_NAME", f"metadata.labels['{JOB_NAME_LABEL}']"),
            from_field("APM_JOB_UID", f"metadata.labels['{JOB_UID_LABEL}']"),
            from_field("POD_NAME", "metadata.name"),
            from_field("POD_NAMESPACE", "metadata.namespace"),
        ],
        "terminationMessagePolicy": "File",
        "securityContext": container_security(),
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
