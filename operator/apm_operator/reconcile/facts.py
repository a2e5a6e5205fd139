"""What a pass needs to know of a Deployment's and its pods' status."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apm_operator.kinds import CONFIG_HASH
from apm_operator.manifests.pod import CONTAINER

_MESSAGE_LINES = 5
_MESSAGE_LIMIT = 600
_SECRETS = (
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)\S+@", re.IGNORECASE), r"\1***@"),
    (re.compile(r"\b(bearer|basic)\s+[^\s\"',;]+", re.IGNORECASE), r"\1 ***"),
    (re.compile(r"\b(sk|pk|ghp|glpat|xox[abp])[-_][A-Za-z0-9_-]{8,}"), "***"),
    (
        re.compile(r"""((?:api[-_]?key|password|passwd|secret|token)["']?\s*[:=]\s*["']?)[^\s"',;&]+""", re.IGNORECASE),
        r"\1***",
    ),
)


@dataclass(frozen=True, slots=True)
class DeploymentFacts:
    """Counts and troubles of a Deployment."""

    name: str = ""
    generation: int = 0
    observed_generation: int = 0
    wanted: int = 1
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    stuck: bool = False
    failure: str = ""

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> DeploymentFacts:
        """Pick the facts out of a Deployment."""
        status = body.get("status") or {}
        by_type = {c["type"]: c for c in status.get("conditions") or ()}
        progress = by_type.get("Progressing", {})
        failure = by_type.get("ReplicaFailure", {})
        return cls(
            name=body["metadata"].get("name", ""),
            generation=body["metadata"].get("generation", 0),
            observed_generation=status.get("observedGeneration", 0),
            wanted=body["spec"].get("replicas", 1),
            replicas=status.get("replicas", 0),
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            available=status.get("availableReplicas", 0),
            stuck=progress.get("reason") == "ProgressDeadlineExceeded",
            failure=str(failure.get("message", "")) if failure.get("status") == "True" else "",
        )

    @property
    def newest_only(self) -> bool:
        """Whether no replica is of an older version."""
        return self.observed_generation >= self.generation and self.updated == self.replicas

    @property
    def done(self) -> bool:
        """Whether every replica is of the newest version, available, and no older one is left."""
        return (
            self.observed_generation >= self.generation
            and self.updated == self.wanted
            and self.replicas == self.wanted
            and self.available == self.wanted
        )


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What may be wrong with one pod.

    Attributes:
        running: its container has started and runs, since `since` (seconds since 1970).
    """

    version: str
    config: str
    ip: str = ""
    deleting: bool = False
    running: bool = False
    since: float = 0.0
    ready: bool = False
    image: str = ""
    waiting: str = ""
    waiting_message: str = ""
    restarts: int = 0
    exit_code: int = 0
    exit_reason: str = ""
    exit_message: str = ""
    unschedulable: str = ""

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> PodFacts:
        """Pick the facts out of a pod."""
        metadata, status = body["metadata"], body.get("status") or {}
        scheduled = _condition(status, "PodScheduled")
        container: Mapping[str, Any] = next(
            (c for c in status.get("containerStatuses") or () if c["name"] == CONTAINER), {}
        )
        state, last = container.get("state") or {}, container.get("lastState") or {}
        waiting = state.get("waiting") or {}
        ended = state.get("terminated") or last.get("terminated") or {}
        return cls(
            version=metadata["resourceVersion"],
            config=(metadata.get("annotations") or {}).get(CONFIG_HASH, ""),
            ip=status.get("podIP", ""),
            deleting="deletionTimestamp" in metadata,
            running="running" in state and bool(container.get("started")),
            since=_time((state.get("running") or {}).get("startedAt")),
            ready=_condition(status, "Ready").get("status") == "True",
            image=container.get("image") or _image(body),
            waiting=waiting.get("reason", ""),
            waiting_message=tidy(waiting.get("message", "")),
            restarts=container.get("restartCount", 0),
            exit_code=ended.get("exitCode", 0),
            exit_reason=ended.get("reason", ""),
            exit_message=tidy(ended.get("message", "")),
            unschedulable=str(scheduled.get("message", "")) if scheduled.get("reason") == "Unschedulable" else "",
        )

    def differs(self, other: PodFacts) -> bool:
        """Whether anything but the version is new."""
        return dataclasses.replace(self, version=other.version) != other


def scrub(text: str) -> str:
    """The text with what looks like a secret struck out."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def tidy(text: str) -> str:
    """The last lines of a program's message, without secrets: where it ended stands there."""
    text = scrub(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-_MESSAGE_LINES:])[-_MESSAGE_LIMIT:]


def _time(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((c for c in status.get("conditions") or () if c["type"] == kind), {})


def _image(body: Mapping[str, Any]) -> str:
    containers = (body.get("spec") or {}).get("containers") or ()
    return next((c.get("image", "") for c in containers if c["name"] == CONTAINER), "")
