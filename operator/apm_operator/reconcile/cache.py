"""What the watches have told: only what is compared, never whole objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apm_operator.echoes import Echoes
from apm_operator.kinds import (
    AGENTS,
    BACKUPS,
    BY_KIND,
    JOBS,
    OWNER_LABELS,
    OWNERS,
    PODS,
    Resource,
)
from apm_operator.manifests.agent import digest
from apm_operator.queue import Key
from apm_operator.reconcile.belonging import Belonging
from apm_operator.reconcile.callers import CallIndex, links
from apm_operator.reconcile.entry import Entry, child_record, is_older
from apm_operator.reconcile.tombstones import Tombstones


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
            changed = entry.observe_agent(resource, body, deleted=deleted)
            if entry.agent is not before:
                others = self._link(key, body.get("spec")) if entry.agent is not None else self._unlink(key)
        elif resource is PODS and key.kind == AGENTS.kind:
            changed = entry.observe_pod(body, deleted=deleted)
        elif resource in (JOBS, PODS):
            changed, backup = entry.observe_run(resource, body, deleted=deleted)
            others = frozenset({Key(key.namespace, backup, BACKUPS.kind)} if changed else ())
        else:
            changed = entry.observe_child(resource, body, deleted=deleted)
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
        record = child_record(answer)
        before = entry.children.get((resource.kind, name))
        if before is not None and is_older(answer["metadata"], before.uid, before.version):
            return  # the watch was faster, and told what came of it since
        if before is None or before.version != record.version:
            self.echoes.expect(record.version)
        record.matches = manifest_digest
        record.settled = digest(record.content)
        record.content = b""
        entry.children[resource.kind, name] = record
        entry.take_facts(resource, answer)

    def record_status(self, key: Key, answer: Mapping[str, Any]) -> None:
        """Take in the API server's answer to a status patch.

        It may be the first to show a change of the agent itself; then it is left to the watch to tell all of it.
        """
        entry = self._entries.get(key)
        metadata, agent = answer["metadata"], entry.agent if entry is not None else None
        if agent is None or not agent.same(metadata) or is_older(metadata, agent.uid, agent.version):
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
            entry.drop_child(resource, name)
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
