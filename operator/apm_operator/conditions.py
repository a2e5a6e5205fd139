"""Conditions by the rules of kstatus: Ready always, Reconciling and Stalled only while they are true.

Rules: https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

READY: Final = "Ready"
PROGRESSING: Final = "Progressing"
ROLLING_OUT: Final = "RollingOut"
SUSPENDED: Final = "Suspended"
SECRET_MISSING: Final = "SecretMissing"  # noqa: S105  a reason, not a password
CONFIG_MAP_MISSING: Final = "ConfigMapMissing"
IMAGE_PULL_FAILED: Final = "ImagePullFailed"
WORKFLOW_INVALID: Final = "WorkflowInvalid"
SPEC_INVALID: Final = "SpecInvalid"
NAMESPACE_NOT_ALLOWED: Final = "NamespaceNotAllowed"
STATE_UNAVAILABLE: Final = "StateUnavailable"
PODS_CRASH: Final = "PodsCrash"
PODS_UNSCHEDULABLE: Final = "PodsUnschedulable"
QUOTA_EXCEEDED: Final = "QuotaExceeded"
PERMISSIONS_NOT_GRANTED: Final = "PermissionsNotGranted"
FORBIDDEN: Final = "Forbidden"
NAME_TAKEN: Final = "NameTaken"
API_ERROR: Final = "ApiError"
SECRETS_NOT_PERMITTED: Final = "SecretsNotPermitted"
CERTIFICATE_NOT_ISSUED: Final = "CertificateNotIssued"

CERTIFICATE_READY: Final = "CertificateReady"
ISSUED: Final = "Issued"
NOT_ISSUED: Final = "NotIssued"
EXPIRING: Final = "Expiring"

PAUSED: Final = "Paused"
VERIFIED: Final = "Verified"
COMPLETED: Final = "Completed"
PENDING: Final = "Pending"
RUNNING: Final = "Running"
FAILED: Final = "Failed"
NOT_YET: Final = "NotYet"
NOT_VERIFIED: Final = "NotVerified"
OVERDUE: Final = "Overdue"
BACKUP_FAILED: Final = "BackupFailed"
RUN_MISSED: Final = "RunMissed"
POLICY_MISSING: Final = "PolicyMissing"
BACKUP_MISSING: Final = "BackupMissing"
REPORT_MISSING: Final = "ReportMissing"
JOB_GONE: Final = "JobGone"
POD_LOST: Final = "PodLost"
POD_NOT_STARTED: Final = "PodNotStarted"
OUT_OF_MEMORY: Final = "OutOfMemory"
EVICTED: Final = "Evicted"
CRASHED: Final = "Crashed"
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
STOPPING: Final = "Stopping"
DELIVERED: Final = "Delivered"
REMOVING: Final = "Removing"
REMOVAL_FAILED: Final = "RemovalFailed"

AUTOSCALING: Final = "Autoscaling"
ACTIVE: Final = "Active"
AT_MAXIMUM: Final = "AtMaximum"
KEDA_MISSING: Final = "KedaMissing"
KEDA_FORBIDDEN: Final = "KedaForbidden"
KEDA_NOT_READY: Final = "KedaNotReady"
KEDA_READY: Final = "KedaReady"
ACTIVATOR_NOT_READY: Final = "ActivatorNotReady"

NETWORK_READY: Final = "NetworkReady"
TARGETS_KNOWN: Final = "TargetsKnown"
TARGETS_UNKNOWN: Final = "TargetsUnknown"

ANOMALOUS: Final = "Anomalous"
ANOMALY: Final = "Anomaly"
AS_USUAL: Final = "AsUsual"
LEARNING: Final = "Learning"

QUIET_REASONS = frozenset({PROGRESSING, ROLLING_OUT, PENDING, RUNNING, NOT_YET, STOPPING})
"""Reasons that come and go with every change: no Event is worth them."""
NORMAL_REASONS = frozenset({READY, SUSPENDED, PAUSED, COMPLETED, REMOVING, AS_USUAL})

_MESSAGE_LIMIT = 2048
_OF_VERDICT = frozenset({"Ready", "Reconciling", "Stalled"})

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pass has found out about an agent.

    Attributes:
        ready: the Ready condition's status.
        work: whether the agent is on its way (`Reconciling`), can't go on without a change of its spec (`Stalled`),
            or rests.
        certain: whether the generation that was looked at has been dealt with; false while the API server refuses.
    """

    ready: Truth
    reason: str
    message: str
    work: Literal["Reconciling", "Stalled", ""] = ""
    certain: bool = True

    @classmethod
    def stalled(cls, reason: str, message: str) -> Verdict:
        """Nothing happens until the spec changes."""
        return cls("False", reason, message, "Stalled")

    @classmethod
    def problem(cls, reason: str, message: str, *, certain: bool = True) -> Verdict:
        """Not in order, and looked at again."""
        return cls("False", reason, message, "Reconciling", certain)

    @classmethod
    def moving(cls, reason: str, message: str) -> Verdict:
        """On its way, nothing wrong so far."""
        return cls("Unknown", reason, message, "Reconciling")


@dataclass(frozen=True, slots=True)
class Aspect:
    """A condition beside those of the verdict, which does not touch them; without a reason it is told no more."""

    kind: str
    truth: Truth
    reason: str
    message: str


def conditions(
    verdict: Verdict,
    aspects: Iterable[Aspect] = (),
    *,
    generation: int,
    now: str,
    before: Iterable[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """The status' conditions; `lastTransitionTime` is `now` only where a condition's status is new.

    An aspect that was told before and is not among `aspects` stays as it was.
    """
    old = {condition["type"]: condition for condition in before}
    wanted = [Aspect("Ready", verdict.ready, verdict.reason, verdict.message)]
    if verdict.work:
        wanted.append(Aspect(verdict.work, "True", verdict.reason, verdict.message))
    wanted += aspects
    told = {aspect.kind for aspect in wanted} | _OF_VERDICT
    return [
        {
            "type": aspect.kind,
            "status": aspect.truth,
            "reason": aspect.reason,
            "message": aspect.message[:_MESSAGE_LIMIT],
            "observedGeneration": generation,
            "lastTransitionTime": old[aspect.kind]["lastTransitionTime"]
            if aspect.kind in old and old[aspect.kind].get("status") == aspect.truth
            else now,
        }
        for aspect in wanted
        if aspect.reason
    ] + [dict(condition) for kind, condition in old.items() if kind not in told]


def news(aspects: Iterable[Aspect], before: Iterable[Mapping[str, Any]]) -> list[Aspect]:
    """The aspects that are not in order in a way that has not been told yet, and an anomaly that is over."""
    told = {str(each.get("type")): each for each in before}
    return [each for each in aspects if _is_news(each, told.get(each.kind, {}))]


def _is_news(aspect: Aspect, before: Mapping[str, Any]) -> bool:
    if aspect.kind == ANOMALOUS and aspect.truth == "False":
        return bool(before.get("status") == "True")
    trouble = "True" if aspect.kind == ANOMALOUS else "False"
    return aspect.truth == trouble and before.get("message") != aspect.message[:_MESSAGE_LIMIT]


def reason(conditions: Iterable[Mapping[str, Any]], kind: str = READY) -> str:
    """The reason of a condition, "" where there is none yet."""
    return next((str(c.get("reason", "")) for c in conditions if c.get("type") == kind), "")


def truth(conditions: Iterable[Mapping[str, Any]], kind: str = READY) -> Truth:
    """The status of a condition, "Unknown" where there is none yet."""
    found = next((c.get("status") for c in conditions if c.get("type") == kind), None)
    return "True" if found == "True" else "False" if found == "False" else "Unknown"
