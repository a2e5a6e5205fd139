"""All that is known about one object that a user wrote, and what an object from a watch adds to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from apm_operator.kinds import (
    ACTIVATOR_LABEL,
    APPLIED_HASH,
    AUTOSCALERS,
    DEPLOYMENTS,
    JOBS,
    OWNERS,
    PODS,
    RECONCILE_AT,
    Resource,
)
from apm_operator.manifests.agent import canonical, digest
from apm_operator.queue import Key
from apm_operator.reconcile.facts import DeploymentFacts, PodFacts
from apm_operator.reconcile.plan import Plan
from apm_operator.reconcile.records import AgentRecord, ChildRecord
from apm_operator.reconcile.runs import JobFacts, RunPod, take
from apm_operator.reconcile.scaling import AutoscalerFacts

_NOT_COMPARED = frozenset({"status", "apiVersion", "kind"})
_METADATA_COMPARED = ("labels", "annotations", "ownerReferences")


@dataclass(slots=True)
class Entry:
    """All that is known about one agent; or about a policy, a backup or a restore.

    Attributes:
        activator: what stands in for an agent while it has no pods.
        jobs: the Jobs of a policy or a restore.
        runs: their pods.
    """

    agent: AgentRecord | None = None
    children: dict[tuple[str, str], ChildRecord] = field(default_factory=dict)
    deployment: DeploymentFacts | None = None
    activator: DeploymentFacts | None = None
    autoscaler: AutoscalerFacts | None = None
    pods: dict[str, PodFacts] = field(default_factory=dict)
    plan: Plan | None = None
    jobs: dict[str, JobFacts] = field(default_factory=dict)
    runs: dict[str, RunPod] = field(default_factory=dict)

    def empty(self) -> bool:
        """Whether nothing of the agent is left."""
        return self.agent is None and not (self.children or self.pods or self.jobs or self.runs)

    def versions(self, resource: Resource, key: Key) -> list[tuple[str, str]]:
        """Name and resource version of each object of a kind; `key` is the agent's."""
        if resource in OWNERS:
            return [(key.name, self.agent.version)] if self.agent is not None and resource.kind == key.kind else []
        if resource is PODS:
            pods: dict[str, PodFacts | RunPod] = {**self.pods, **self.runs}
            return [(each, pod.version) for each, pod in pods.items()]
        if resource is JOBS:
            return [(each, job.version) for each, job in self.jobs.items()]
        return [(each, child.version) for (kind, each), child in self.children.items() if kind == resource.kind]

    def observe_agent(self, resource: Resource, body: Mapping[str, Any], *, deleted: bool) -> bool:
        """Takes in the object itself; whether something that matters is new."""
        metadata = body["metadata"]
        if deleted:
            if self.agent is None or self.agent.uid != metadata["uid"]:
                return False
            self.agent, self.plan = None, None
            return True
        before = self.agent
        if before is not None and (
            before.version == metadata["resourceVersion"] or is_older(metadata, before.uid, before.version)
        ):
            return False
        annotations = metadata.get("annotations") or {}
        reconcile_at = annotations.get(RECONCILE_AT, "")
        kept = {name: metadata[name] for name in ("name", "namespace", "uid", "generation")}
        content: Final = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": kept,
            "spec": body.get("spec") or {},
        }
        self.agent = AgentRecord(
            uid=metadata["uid"],
            generation=metadata["generation"],
            version=metadata["resourceVersion"],
            body=json.dumps(content).encode(),
            status=body.get("status") or {},
            reconcile_at=reconcile_at,
            deleting="deletionTimestamp" in metadata,
            created=metadata.get("creationTimestamp") or "",
            finalizers=tuple(metadata.get("finalizers") or ()),
        )
        if before is None or before.uid != self.agent.uid:
            self.plan = None
            return True
        return (
            before.generation != self.agent.generation
            or before.reconcile_at != reconcile_at
            or before.status != self.agent.status
            or before.deleting != self.agent.deleting
        )

    def observe_child(self, resource: Resource, body: Mapping[str, Any], *, deleted: bool) -> bool:
        """Takes in an object that was made for it; whether it is other than what was applied, or has new facts."""
        metadata = body["metadata"]
        at = (resource.kind, metadata["name"])
        if deleted:
            return self._child_deleted(resource, metadata)
        before = self.children.get(at)
        if before is not None and (
            before.version == metadata["resourceVersion"] or is_older(metadata, before.uid, before.version)
        ):
            return False
        record = child_record(body)
        facts_changed = self.take_facts(resource, body)
        self.children[at] = record
        if before is None or before.uid != record.uid:
            return True
        if before.settled and before.settled == digest(record.content):
            record.matches, record.settled, record.content = before.matches, before.settled, b""
            return facts_changed
        return True

    def _child_deleted(self, resource: Resource, metadata: Mapping[str, Any]) -> bool:
        at = (resource.kind, metadata["name"])
        before = self.children.get(at)
        if before is None:
            return True  # the answer to the apply that made it has not come yet
        if before.uid != metadata["uid"]:
            return False
        self.drop_child(resource, metadata["name"])
        return True

    def take_facts(self, resource: Resource, body: Mapping[str, Any]) -> bool:
        """Keep what a pass needs to know of a child's status; whether any of it is new."""
        before = self.deployment, self.activator, self.autoscaler
        if resource is DEPLOYMENTS and ACTIVATOR_LABEL in (body["metadata"].get("labels") or {}):
            self.activator = DeploymentFacts.read(body)
        elif resource is DEPLOYMENTS:
            self.deployment = DeploymentFacts.read(body)
        elif resource is AUTOSCALERS:
            self.autoscaler = AutoscalerFacts.read(body)
        return before != (self.deployment, self.activator, self.autoscaler)

    def drop_child(self, resource: Resource, name: str) -> None:
        """Forgets an object that was made for it."""
        del self.children[resource.kind, name]
        if resource is DEPLOYMENTS and self.activator is not None and self.activator.name == name:
            self.activator = None
        elif resource is DEPLOYMENTS:
            self.deployment = None
        elif resource is AUTOSCALERS:
            self.autoscaler = None

    def observe_pod(self, body: Mapping[str, Any], *, deleted: bool) -> bool:
        """Takes in a pod of an agent; whether something that matters is new."""
        name = body["metadata"]["name"]
        if deleted:
            return self.pods.pop(name, None) is not None
        facts = PodFacts.read(body)
        before = self.pods.get(name)
        if before is not None and is_older(body["metadata"], body["metadata"]["uid"], before.version):
            return False
        self.pods[name] = facts
        return before is None or before.differs(facts)

    def observe_run(self, resource: Resource, body: Mapping[str, Any], *, deleted: bool) -> tuple[bool, str]:
        """Take in a Job or one of its pods: whether something is new, and the name of the Job and of its Backup."""
        name = body["metadata"]["name"]
        if resource is JOBS:
            return take(self.jobs, name, JobFacts.read(body), deleted=deleted), name
        pod = RunPod.read(body)
        return take(self.runs, name, pod, deleted=deleted), pod.job


def child_record(body: Mapping[str, Any]) -> ChildRecord:
    """What is compared of an object that was made for another."""
    metadata = body["metadata"]
    content = {name: value for name, value in body.items() if name not in _NOT_COMPARED}
    content["metadata"] = {name: metadata[name] for name in _METADATA_COMPARED if name in metadata}
    owners = [owner["uid"] for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
    annotations = content["metadata"].get("annotations") or {}
    if "deployment.kubernetes.io/revision" in annotations:
        # The Deployment controller's counter; it would make each roll-out look like a change made by hand.
        annotations = {k: v for k, v in annotations.items() if k != "deployment.kubernetes.io/revision"}
        content["metadata"]["annotations"] = annotations
    return ChildRecord(
        uid=metadata["uid"],
        owner=owners[0] if owners else "",
        version=metadata["resourceVersion"],
        content=canonical(content),
        applied=annotations.get(APPLIED_HASH, ""),
    )


def is_older(metadata: Mapping[str, Any], uid: str, version: str) -> bool:
    """Whether an object is older than the one last seen.

    Lists, watches and the answers to writes overtake each other; the older of two would stay until the next change.
    Versions of one object are numbers that grow: https://kep.k8s.io/5504
    """
    return metadata["uid"] == uid and int(metadata["resourceVersion"]) < int(version)
