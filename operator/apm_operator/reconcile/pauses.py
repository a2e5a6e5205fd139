"""Which agents rest while a Restore changes their database: told by the Restores in the cache alone.

So it holds after a restart of the operator too, and ends with the Restore, whatever became of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from apm_operator import conditions as c
from apm_operator.kinds import AGENTS, BACKUPS
from apm_operator.queue import Key
from apm_operator.reconcile.belonging import policy_of
from apm_operator.reconcile.secrets import SecretUse

if TYPE_CHECKING:
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.secrets import Secrets

PHASES = frozenset({"Pausing", "Waiting", "Verifying", "Restoring", "Comparing", "Swapping"})
"""Phases of a Restore in which its agents rest."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database as a spec names it: where its server's connection string lies, and its name."""

    uri: SecretUse
    name: str


@dataclass(frozen=True, slots=True)
class Pauses:
    """Finds out whether an agent rests, and which agents a Restore lets rest."""

    cache: Cache
    secrets: Secrets

    def of_agent(self, key: Key) -> str:
        """Name of the Restore for which an agent rests; "" where it does not."""
        restores = self.cache.belonging.restores(key.namespace)
        if not restores:  # as good as always, and this is asked in every pass over every agent
            return ""
        own = _database(self._spec(key))
        if own is None:
            return ""
        return next(
            (restore.name for restore in restores if self._pauses(restore) and self._hits(restore, key, own)), ""
        )

    def agents(self, restore: Key) -> tuple[Key, ...]:
        """The agents that use what a Restore changes."""
        return tuple(sorted(self._agents(restore)))

    def unchanged(self, agent: Key) -> str:
        """Why the operator changes nothing of an agent, not even for a Restore; "" where it does."""
        entry = self.cache.get(agent)
        if entry is None or entry.agent is None:
            return ""
        if self._spec(agent).get("suspend"):
            return "its spec.suspend is true"
        conditions = entry.agent.status.get("conditions") or ()
        if any(each["type"] == "Stalled" and each["status"] == "True" for each in conditions):
            return f"its spec can't be carried out ({c.reason(conditions)})"
        return ""

    def _agents(self, restore: Key) -> Iterator[Key]:
        for key in self.cache:
            if key.kind != AGENTS.kind or key.namespace != restore.namespace:
                continue
            own = _database(self._spec(key))
            if own is not None and self._hits(restore, key, own):
                yield key

    def _pauses(self, restore: Key) -> bool:
        entry = self.cache.get(restore)
        if entry is None or entry.agent is None or entry.agent.status.get("phase") not in PHASES:
            return False
        return bool(self._spec(restore).get("pauseAgents"))

    def _hits(self, restore: Key, agent: Key, own: Database) -> bool:
        spec = self._spec(restore)
        target = spec.get("target") or {}
        uri = _uri(target.get("mongodb")) or self._source(restore.namespace, spec)
        if uri is None or not self._same_server(restore, uri, agent, own.uri):
            return False
        return self._touches(restore.namespace, spec, own.name)

    def _touches(self, namespace: str, spec: Mapping[str, Any], name: str) -> bool:
        """Whether a Restore writes to the database of this name."""
        renames = (spec.get("target") or {}).get("databases") or ()
        sources = {str(each["from"]) for each in renames if each.get("to") == name}
        if name not in {each.get("from") for each in renames}:
            sources.add(name)
        taken = (self._policy(namespace, spec).get("source") or {}).get("databases") or ()
        asked = [str(each).partition(".")[0] for each in spec.get("namespaces") or ()]
        return any(
            (not taken or source in taken) and (not asked or any(fnmatchcase(source, each) for each in asked))
            for source in sources
        )

    def _same_server(self, restore: Key, uri: SecretUse, agent: Key, own: SecretUse) -> bool:
        if (uri.name, uri.key) == (own.name, own.key):
            return True
        theirs, ours = self.secrets.endpoints(restore, uri), self.secrets.endpoints(agent, own)
        return bool(theirs and ours and set(theirs) & set(ours))

    def _source(self, namespace: str, spec: Mapping[str, Any]) -> SecretUse | None:
        """Where the backup came from: that is the target where none is named."""
        return _uri((self._policy(namespace, spec).get("source") or {}).get("mongodb"))

    def _policy(self, namespace: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """The spec of the policy whose backup is restored; {} where it is not known."""
        name = ((spec.get("from") or {}).get("backupRef") or {}).get("name")
        backup = self._spec(Key(namespace, str(name), BACKUPS.kind)) if name else {}
        return self._spec(policy_of(namespace, backup))

    def _spec(self, key: Key) -> dict[str, Any]:
        entry = self.cache.get(key)
        if entry is None or entry.agent is None:
            return {}
        spec: dict[str, Any] = json.loads(entry.agent.body)["spec"]
        return spec


def _database(spec: Mapping[str, Any]) -> Database | None:
    """Where an agent keeps its state."""
    mongodb = (spec.get("state") or {}).get("mongodb") or {}
    uri = _uri(mongodb)
    return Database(uri, str(mongodb.get("database") or _DEFAULT)) if uri is not None else None


_DEFAULT = "apm"


def _uri(mongodb: object) -> SecretUse | None:
    reference = mongodb.get("uriSecretRef") if isinstance(mongodb, Mapping) else None
    if not isinstance(reference, Mapping) or not reference.get("name"):
        return None
    return SecretUse(str(reference["name"]), str(reference.get("key") or "uri"))
