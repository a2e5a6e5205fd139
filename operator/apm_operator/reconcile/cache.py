"""What the watches have told: only what is compared, never whole objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from apm_operator.echoes import Echoes
from apm_operator.kinds import (
    AGENTS,
    APPLIED_HASH,
    BACKUPS,
    BY_KIND,
    DEPLOYMENTS,
    JOBS,
    OWNER_LABELS,
    OWNERS,
    PODS,
    RECONCILE_AT,
    Resource,
)
from apm_operator.manifests.agent import canonical, digest
from apm_operator.queue import Key
from apm_operator.reconcile.belonging import Belonging
from apm_operator.reconcile.callers import CallIndex, links
from apm_operator.reconcile.facts import DeploymentFacts, PodFacts
from apm_operator.reconcile.plan import Plan
from apm_operator.reconcile.runs import JobFacts, RunPod, take
from apm_operator.reconcile.tombstones import Tombstones

_NOT_COMPARED = frozenset({"status", "apiVersion", "kind"})
_METADATA_COMPARED = ("labels", "annotations", "ownerReferences")


@dataclass(slots=True)
class AgentRecord:
    """An AgentDeployment, or an object of another kind that users write, as last seen.

    `body` is JSON of what its spec is read from.
    """

    uid: str
    generation: int
    version: str
    body: bytes
    status: dict[str, Any]
    reconcile_at: str
    deleting: bool
    created: str = ""
    finalizers: tuple[str, ...] = ()

    def same(self, metadata: Mapping[str, Any]) -> bool:
        """Whether this metadata shows the same object, and no change to it but of its status."""
        return (
            self.uid == metadata["uid"]
            and self.generation == metadata["generation"]
            and self.reconcile_at == (metadata.get("annotations") or {}).get(RECONCILE_AT, "")
            and self.deleting == ("deletionTimestamp" in metadata)
        )


@dataclass(slots=True)
class ChildRecord:
    """A child as last seen.

    Attributes:
        content: JSON of what is compared; b"" once a comparison has been made and `matches` holds its outcome.
        applied: digest of the manifest that the object says it was applied from.
        matches: digest of the manifest that this version of the object covers, "" where it is not known to.
        settled: digest of `content` right after our own apply. An admission rule may have changed what was applied:
            as long as the content stays like this, applying again would change nothing.
    """

    uid: str
    owner: str
    version: str
    content: bytes
    applied: str
    matches: str = ""
    settled: str = ""


@dataclass(slots=True)
class Entry:
    """All that is known about one agent; or about a policy, a backup or a restore.

    Attributes:
        jobs: the Jobs of a policy or a restore.
        runs: their pods.
    """

    agent: AgentRecord | None = None
    children: dict[tuple[str, str], ChildRecord] = field(default_factory=dict)
    deployment: DeploymentFacts | None = None
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


class Cache:
    """The entries of all agents, policies, backups and restores.

    Attributes:
        calls: who may call whom.
        belonging: whose Backups are there, and which Restores.
        echoes: what the watches need not tell, because the answer to a write has told it.
    """

    def __init__(self) -> None:
        self._entries: dict[Key, Entry] = {}
        self._deleted = Tombstones()
        self.calls = CallIndex()
        self.belonging = Belonging()
        self.echoes = Echoes()

    def __iter__(self) -> Iterator[Key]:
        return iter(tuple(self._entries))

    def get(self, key: Key) -> Entry | None:
        """What is known about an agent."""
        return self._entries.get(key)

    def observe(self, body: Mapping[str, Any], *, deleted: bool) -> tuple[Key, ...]:
        """Take in an object from a watch, a list or an answer of the API server.

        Returns:
            The agents to be looked at: the one that it is or belongs to comes first where something that matters is
            new about it; then those that an agent's new spec begins or ceases to call.
        """
        resource = BY_KIND[body["kind"]]
        key = key_of(resource, body)
        if key is None or (not deleted and body["metadata"]["uid"] in self._deleted):
            return ()
        if deleted:
            self._deleted.add(body["metadata"]["uid"])
        entry = self._entries.get(key)
        if entry is None:
            if deleted:
                return ()
            entry = self._entries[key] = Entry()
        others: frozenset[Key] = frozenset()
        if resource in OWNERS:
            before = entry.agent
            changed = _observe_agent(entry, resource, body, deleted=deleted)
            if entry.agent is not before:
                others = self._link(key, body.get("spec")) if entry.agent is not None else self._unlink(key)
        elif resource is PODS and key.kind == AGENTS.kind:
            changed = _observe_pod(entry, body, deleted=deleted)
        elif resource in (JOBS, PODS):
            changed, backup = _observe_run(entry, resource, body, deleted=deleted)
            others = frozenset({Key(key.namespace, backup, BACKUPS.kind)} if changed else ())
        else:
            changed = _observe_child(entry, resource, body, deleted=deleted)
        if entry.empty():
            del self._entries[key]
        return ((key,) if changed else ()) + tuple(sorted(others - {key}))

    def _link(self, key: Key, spec: object) -> frozenset[Key]:
        if key.kind == AGENTS.kind:
            return self.calls.put(key, links(key.namespace, spec))
        self.belonging.put(key, spec if isinstance(spec, Mapping) else {})
        return frozenset()

    def _unlink(self, key: Key) -> frozenset[Key]:
        if key.kind == AGENTS.kind:
            return self.calls.drop(key)
        self.belonging.drop(key)
        return frozenset()

    def record_apply(self, key: Key, resource: Resource, answer: Mapping[str, Any], manifest_digest: str) -> None:
        """Take in the API server's answer to an apply, so that the watch's echo of it says nothing new."""
        if answer["metadata"]["uid"] in self._deleted:
            return
        entry = self._entries.setdefault(key, Entry())
        name = answer["metadata"]["name"]
        record = _child(answer)
        before = entry.children.get((resource.kind, name))
        if before is not None and _older(answer["metadata"], before.uid, before.version):
            return  # the watch was faster, and told what came of it since
        if before is None or before.version != record.version:
            self.echoes.expect(record.version)
        record.matches = manifest_digest
        record.settled = digest(record.content)
        record.content = b""
        entry.children[resource.kind, name] = record
        if resource is DEPLOYMENTS:
            entry.deployment = DeploymentFacts.read(answer)

    def record_status(self, key: Key, answer: Mapping[str, Any]) -> None:
        """Take in the API server's answer to a status patch.

        It may be the first to show a change of the agent itself; then it is left to the watch to tell all of it.
        """
        entry = self._entries.get(key)
        metadata, agent = answer["metadata"], entry.agent if entry is not None else None
        if agent is None or not agent.same(metadata) or _older(metadata, agent.uid, agent.version):
            return
        if agent.version != metadata["resourceVersion"]:
            self.echoes.expect(metadata["resourceVersion"])
        agent.version = metadata["resourceVersion"]
        agent.status = answer.get("status") or {}

    def forget_deleted(self) -> None:
        """To be called before each listing: an object that was deleted before the last one can't show up any more."""
        self._deleted.turn()

    def known(self, resource: Resource) -> dict[tuple[Key, str], str]:
        """The resource version of every object of a kind, by its agent and its own name."""
        return {
            (key, name): version
            for key, entry in self._entries.items()
            for name, version in entry.versions(resource, key)
        }

    def gone(self, resource: Resource, key: Key, name: str, version: str) -> tuple[Key, ...]:
        """An object of which this version was known exists no more although no watch said so.

        Returns:
            What `observe` does; nothing where the watch has told of it meanwhile.
        """
        entry = self._entries.get(key)
        if entry is None or (name, version) not in entry.versions(resource, key):
            return ()
        others = frozenset[Key]()
        if resource in OWNERS:
            entry.agent, entry.plan = None, None
            others = self._unlink(key)
        elif resource is PODS:
            entry.pods.pop(name, None)
            entry.runs.pop(name, None)
        elif resource is JOBS:
            del entry.jobs[name]
            others = frozenset({Key(key.namespace, name, BACKUPS.kind)})
        else:
            del entry.children[resource.kind, name]
            if resource is DEPLOYMENTS:
                entry.deployment = None
        if entry.empty():
            del self._entries[key]
        return (key, *sorted(others - {key}))


def key_of(resource: Resource, body: Mapping[str, Any]) -> Key | None:
    """The agent, or other object that a user wrote, that an object is or belongs to."""
    metadata = body["metadata"]
    if resource in OWNERS:
        return Key(metadata["namespace"], metadata["name"], resource.kind)
    labels = metadata.get("labels") or {}
    for label, kind in OWNER_LABELS.items():
        if name := labels.get(label):
            return Key(metadata["namespace"], name, kind)
    return None


def _older(metadata: Mapping[str, Any], uid: str, version: str) -> bool:
    """Whether an object is older than the one last seen.

    Lists, watches and the answers to writes overtake each other; the older of two would stay until the next change.
    Versions of one object are numbers that grow: https://kep.k8s.io/5504
    """
    return metadata["uid"] == uid and int(metadata["resourceVersion"]) < int(version)


def _observe_agent(entry: Entry, resource: Resource, body: Mapping[str, Any], *, deleted: bool) -> bool:
    metadata = body["metadata"]
    if deleted:
        if entry.agent is None or entry.agent.uid != metadata["uid"]:
            return False
        entry.agent, entry.plan = None, None
        return True
    before = entry.agent
    if before is not None and (
        before.version == metadata["resourceVersion"] or _older(metadata, before.uid, before.version)
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
    entry.agent = AgentRecord(
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
    if before is None or before.uid != entry.agent.uid:
        entry.plan = None
        return True
    return (
        before.generation != entry.agent.generation
        or before.reconcile_at != reconcile_at
        or before.status != entry.agent.status
        or before.deleting != entry.agent.deleting
    )


def _observe_child(entry: Entry, resource: Resource, body: Mapping[str, Any], *, deleted: bool) -> bool:
    metadata = body["metadata"]
    at = (resource.kind, metadata["name"])
    if deleted:
        return _child_deleted(entry, resource, metadata)
    before = entry.children.get(at)
    if before is not None and (
        before.version == metadata["resourceVersion"] or _older(metadata, before.uid, before.version)
    ):
        return False
    record = _child(body)
    facts_changed = False
    if resource is DEPLOYMENTS:
        facts = DeploymentFacts.read(body)
        facts_changed = facts != entry.deployment
        entry.deployment = facts
    entry.children[at] = record
    if before is None or before.uid != record.uid:
        return True
    if before.settled and before.settled == digest(record.content):
        record.matches, record.settled, record.content = before.matches, before.settled, b""
        return facts_changed
    return True


def _child_deleted(entry: Entry, resource: Resource, metadata: Mapping[str, Any]) -> bool:
    at = (resource.kind, metadata["name"])
    before = entry.children.get(at)
    if before is None:
        return True  # the answer to the apply that made it has not come yet
    if before.uid != metadata["uid"]:
        return False
    del entry.children[at]
    if resource is DEPLOYMENTS:
        entry.deployment = None
    return True


def _child(body: Mapping[str, Any]) -> ChildRecord:
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


def _observe_pod(entry: Entry, body: Mapping[str, Any], *, deleted: bool) -> bool:
    name = body["metadata"]["name"]
    if deleted:
        return entry.pods.pop(name, None) is not None
    facts = PodFacts.read(body)
    before = entry.pods.get(name)
    if before is not None and _older(body["metadata"], body["metadata"]["uid"], before.version):
        return False
    entry.pods[name] = facts
    return before is None or before.differs(facts)


def _observe_run(entry: Entry, resource: Resource, body: Mapping[str, Any], *, deleted: bool) -> tuple[bool, str]:
    """Take in a Job or one of its pods: whether something is new, and the name of the Job and of its Backup."""
    name = body["metadata"]["name"]
    if resource is JOBS:
        return take(entry.jobs, name, JobFacts.read(body), deleted=deleted), name
    pod = RunPod.read(body)
    return take(entry.runs, name, pod, deleted=deleted), pod.job
