"""How a Job of backups ended: by its own report, or by what became of it where it could write none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from apm_operator import conditions as c
from apm_operator.backup.errors import Stopped
from apm_operator.backup.report import Report
from apm_operator.reconcile.facts import scrub, tidy
from apm_operator.reconcile.runs import JobFacts, RunPod

_PULL = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
_START = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_MESSAGE_LIMIT = 1500
UNANSWERED_SECONDS = 30.0
"""How long a node may take to say that a pod has ended, beyond what the pod was given for it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a Job ended.

    Attributes:
        reason: CamelCase.
        message: what happened and what to do.
        report: what the Job told; None where it could not.
    """

    succeeded: bool
    reason: str
    message: str
    report: Report | None = None


def ending(job: JobFacts | None, pods: Iterable[RunPod]) -> Ending | None:
    """How a Job ended that is known to have been there; None while it goes on.

    Args:
        job: the Job; None where it is gone, as its pod is soon.
        pods: those of the Job, as far as they are there.
    """
    own = sorted((pod for pod in pods if job is None or pod.owner == job.uid), key=lambda pod: pod.created)
    if not job.result if job is not None else any(pod.at_work for pod in own):
        return None
    reports = [report for report in map(_report, own) if report is not None]
    told = reports[-1] if reports else None
    if job is None and told is None:
        return _lost(own)
    if told is not None and told.result == "Succeeded" and (job is None or job.result == "Complete"):
        return Ending(True, told.reason, _short(told.message), told)
    # Of a Job that came to its end, what failed was an earlier try.
    complete = job is not None and job.result == "Complete"
    if told is not None and told.result == "Failed" and not complete and not _ended_by_deadline(job, told):
        return Ending(False, told.reason, _short(told.message), told)
    if complete:
        return _failed(
            c.REPORT_MISSING,
            "The Job ended well, but its report is lost: its pod was deleted before it was read. What it has stored "
            "does not count as a backup here; the next run looks at all that is stored.",
        )
    return _unreported(job, own)


def _ended_by_deadline(job: JobFacts | None, told: Report) -> bool:
    """Whether a pod was stopped since the Job's time was over, and not for what befell the pod."""
    return job is not None and job.reason == "DeadlineExceeded" and told.reason == Stopped.reason


def _report(pod: RunPod) -> Report | None:
    try:
        return Report.model_validate_json(pod.report) if pod.report else None
    except ValidationError:
        return None


def _lost(pods: list[RunPod]) -> Ending:
    if pods:
        return _by_pod(pods[-1]) or _failed(c.JOB_GONE, "The Job was deleted while it was at work.")
    return _failed(c.JOB_GONE, "The Job and its pods are gone: somebody deleted them before their report was read.")


def _unreported(job: JobFacts | None, pods: list[RunPod]) -> Ending:
    if job is not None and job.reason == "DeadlineExceeded":
        return _failed(
            c.DEADLINE_EXCEEDED,
            "The Job was stopped, since it had not ended within spec.job.timeout: allow more time, or see why it is "
            "slow or could not start.",
        )
    found = _by_pod(pods[-1]) if pods else None
    if found is not None:
        return found
    said = f" ({scrub(job.message)})" if job is not None and job.message else ""
    return _failed(
        c.POD_LOST,
        f"The Job's pod is gone without a report{said}: it was deleted, or its node was lost. The next run starts "
        "afresh.",
    )


def _by_pod(pod: RunPod) -> Ending | None:
    if pod.ended == "OOMKilled":
        return _failed(
            c.OUT_OF_MEMORY, "The Job was killed, since it needed more memory than spec.job.resources allow."
        )
    if pod.reason == "Evicted":
        return _failed(c.EVICTED, f"The Job's pod was evicted from its node: {pod.message or 'no reason was given'}")
    if pod.waiting in _PULL:
        return _failed(c.IMAGE_PULL_FAILED, _pull(pod))
    if pod.ended:
        said = f": {tidy(pod.report)}" if pod.report else ""
        return _failed(c.CRASHED, f"The Job ended with exit code {pod.exit_code} ({pod.ended}) and no report{said}")
    if pod.reason:
        return _failed(c.POD_LOST, f"The Job's pod failed ({pod.reason}): {pod.message}")
    return None


def trouble(job: JobFacts, pods: Iterable[RunPod]) -> tuple[str, str] | None:
    """Why a Job that goes on does not start, as reason and message; None where nothing is the matter."""
    for pod in pods:
        if pod.owner != job.uid or pod.ended:
            continue
        if pod.waiting in _PULL:
            return c.IMAGE_PULL_FAILED, _pull(pod)
        if pod.waiting in _START:
            return c.POD_NOT_STARTED, f"The Job's pod can't start ({pod.waiting}): {pod.waiting_message}"
        if pod.unschedulable:
            told = f"No node can take the Job's pod: {pod.unschedulable}"
            return c.PODS_UNSCHEDULABLE, f"{told} Change spec.job or the placement, or add nodes."
    return None


def unanswered(pods: Mapping[str, RunPod], now: datetime) -> str:
    """Which pod was to end, and its node does not say that it has; "" where none is.

    Kubernetes waits for such a pod without an end: its Job goes on, and a CronJob makes no other.
    """
    for name, pod in pods.items():
        if pod.at_work and pod.leaves:
            silent = (now - datetime.fromisoformat(pod.leaves)).total_seconds()
            if silent > UNANSWERED_SECONDS:
                return (
                    f"Node {pod.node} does not say that pod {name} has ended, which was to end at {pod.leaves}: it "
                    "is taken for lost."
                )
    return ""


def started(job: JobFacts, pods: Iterable[RunPod]) -> bool:
    """Whether its program runs or has run."""
    return any(pod.owner == job.uid and (pod.phase == "Running" or pod.ended) for pod in pods)


def _pull(pod: RunPod) -> str:
    return (
        f"The Job can't get its image ({pod.waiting}): {pod.waiting_message} "
        "Check its name, and spec.job.imagePullSecrets for a private registry."
    )


def _failed(reason: str, message: str) -> Ending:
    return Ending(False, reason, _short(message))


def _short(text: str) -> str:
    return scrub(text)[:_MESSAGE_LIMIT]
