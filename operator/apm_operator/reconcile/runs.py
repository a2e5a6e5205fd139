"""What a pass needs to know of the Jobs of backups and restores, and of their pods."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from apm_operator.kinds import ADOPTED, JOB_LABEL, JOB_NAME_LABEL
from apm_operator.manifests.backup_job import CONTAINERS
from apm_operator.reconcile.facts import tidy

_SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


@dataclass(frozen=True, slots=True)
class JobFacts:
    """How far a Job is.

    Attributes:
        command: what it does: `backup`, `verify`, `restore`, `remove`, `prune`, `report`.
        owner: uid of the CronJob, Backup or Restore that it was made for.
        slot: the time that a CronJob made it for; for others that of its creation (seconds since 1970).
        adopted: whether a Backup was made for it.
        result: `Complete` or `Failed` once it has ended, else "".
        reason: of a failure, such as `DeadlineExceeded`.
        suspended: whether it has not been let go yet.
    """

    uid: str
    version: str
    command: str
    owner: str
    slot: float
    active: int = 0
    started: str = ""
    finished: str = ""
    result: str = ""
    reason: str = ""
    message: str = ""
    adopted: bool = False
    deleting: bool = False
    suspended: bool = False

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> JobFacts:
        """Pick the facts out of a Job."""
        metadata, status = body["metadata"], body.get("status") or {}
        owners = [owner["uid"] for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
        scheduled = (metadata.get("annotations") or {}).get(_SCHEDULED) or metadata.get("creationTimestamp")
        # `SuccessCriteriaMet` and `FailureTarget` come before: the pods may still be ending.
        ended = [c for c in status.get("conditions") or () if c["type"] in ("Complete", "Failed")]
        end: Mapping[str, Any] = next((c for c in ended if c.get("status") == "True"), {})
        return cls(
            uid=metadata["uid"],
            version=metadata["resourceVersion"],
            command=(metadata.get("labels") or {}).get(JOB_LABEL, ""),
            owner=owners[0] if owners else "",
            slot=datetime.fromisoformat(scheduled).timestamp() if scheduled else 0.0,
            active=status.get("active", 0),
            started=status.get("startTime") or "",
            finished=status.get("completionTime") or end.get("lastTransitionTime") or "",
            result=end.get("type", ""),
            reason=end.get("reason") or "",
            message=end.get("message") or "",
            adopted=ADOPTED in (metadata.get("annotations") or {}),
            deleting="deletionTimestamp" in metadata,
            suspended=bool((body.get("spec") or {}).get("suspend")),
        )

    def differs(self, other: JobFacts) -> bool:
        """Whether anything but the version is new."""
        return dataclasses.replace(self, version=other.version) != other


@dataclass(frozen=True, slots=True)
class RunPod:
    """A pod of such a Job.

    Attributes:
        job: the Job's name; `owner` its uid.
        phase: `Pending`, `Running`, `Succeeded` or `Failed`.
        reason: why the pod as a whole failed, such as `Evicted`.
        ended: why its container ended, such as `OOMKilled`; "" while it has not.
        report: its termination message as it is.
        waiting: why the container does not start, such as `ImagePullBackOff`.
        node: where it runs.
        leaves: when it is to have ended, "" where nobody has asked it to.
    """

    uid: str
    version: str
    job: str
    owner: str
    created: str
    phase: str = ""
    reason: str = ""
    message: str = ""
    ended: str = ""
    exit_code: int = 0
    report: str = ""
    waiting: str = ""
    waiting_message: str = ""
    unschedulable: str = ""
    node: str = ""
    leaves: str = ""

    @property
    def at_work(self) -> bool:
        """Whether its program runs."""
        return self.phase == "Running" and not self.ended

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> RunPod:
        """Pick the facts out of a pod."""
        metadata, status = body["metadata"], body.get("status") or {}
        owners = [owner["uid"] for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
        container: Mapping[str, Any] = next(
            (c for c in status.get("containerStatuses") or () if c["name"] in CONTAINERS), {}
        )
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        scheduled: Mapping[str, Any] = next(
            (c for c in status.get("conditions") or () if c["type"] == "PodScheduled"), {}
        )
        return cls(
            uid=metadata["uid"],
            version=metadata["resourceVersion"],
            job=(metadata.get("labels") or {}).get(JOB_NAME_LABEL, ""),
            owner=owners[0] if owners else "",
            created=metadata.get("creationTimestamp") or "",
            phase=status.get("phase", ""),
            reason=status.get("reason") or "",
            message=tidy(status.get("message") or ""),
            ended=(ended.get("reason") or "Error") if ended else "",
            exit_code=ended.get("exitCode", 0),
            report=ended.get("message") or "",
            waiting=waiting.get("reason") or "",
            waiting_message=tidy(waiting.get("message") or ""),
            node=(body.get("spec") or {}).get("nodeName") or "",
            leaves=metadata.get("deletionTimestamp") or "",
            unschedulable=str(scheduled.get("message", "")) if scheduled.get("reason") == "Unschedulable" else "",
        )

    def differs(self, other: RunPod) -> bool:
        """Whether anything but the version is new."""
        return dataclasses.replace(self, version=other.version) != other


Run = TypeVar("Run", JobFacts, RunPod)


def take(seen: dict[str, Run], name: str, facts: Run, *, deleted: bool) -> bool:
    """Take in what a watch or a list has told of a Job or pod; whether something is new."""
    before = seen.get(name)
    if deleted:
        return seen.pop(name, None) is not None
    # Lists and watches overtake each other; versions of one object are numbers that grow.
    if before is not None and before.uid == facts.uid and int(facts.version) < int(before.version):
        return False
    seen[name] = facts
    return before is None or before.differs(facts)
