"""Which Backups belong to which policy, and which Restores there are, without a look through all objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from apm_operator.kinds import BACKUP_POLICIES, BACKUPS, RESTORES
from apm_operator.queue import Key


class Belonging:
    """Filled by the cache, as it sees them come and go."""

    def __init__(self) -> None:
        self._policy: dict[Key, Key] = {}
        self._backups: defaultdict[Key, set[Key]] = defaultdict(set)
        self._restores: defaultdict[str, set[Key]] = defaultdict(set)

    def put(self, key: Key, spec: Mapping[str, Any]) -> None:
        """A Backup or a Restore is there."""
        if key.kind == RESTORES.kind:
            self._restores[key.namespace].add(key)
        elif key.kind == BACKUPS.kind:
            self.drop(key)
            policy = self._policy[key] = policy_of(key.namespace, spec)
            self._backups[policy].add(key)

    def drop(self, key: Key) -> None:
        """It is gone."""
        if key.kind == RESTORES.kind:
            self._restores[key.namespace].discard(key)
            if not self._restores[key.namespace]:
                del self._restores[key.namespace]
        elif policy := self._policy.pop(key, None):
            self._backups[policy].discard(key)
            if not self._backups[policy]:
                del self._backups[policy]

    def backups(self, policy: Key) -> tuple[Key, ...]:
        """The Backups that name a policy."""
        return tuple(sorted(self._backups.get(policy, ())))

    def restores(self, namespace: str) -> tuple[Key, ...]:
        """All Restores of a namespace."""
        return tuple(sorted(self._restores.get(namespace, ())))


def policy_of(namespace: str, spec: Mapping[str, Any]) -> Key:
    """The policy that a Backup's spec names."""
    reference = spec.get("policyRef")
    name = reference.get("name") if isinstance(reference, Mapping) else ""
    return Key(namespace, str(name or ""), BACKUP_POLICIES.kind)
