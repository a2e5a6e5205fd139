"""What of a MongoDB is dumped: `Scope` against the databases and collections that are there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.errors import SourceRefused
from apm_operator.backup.job import Scope

OWN = frozenset({"admin", "config", "local"})
"""MongoDB's own databases, which nobody means by "everything"."""
RESERVED = "apm_restore_"
"""How collections of unfinished Restores begin; they are in nobody's backup."""
SCRATCH = "apm_test_"
"""How databases of restore tests begin; nobody means one that a killed test has left by "everything", either."""


@dataclass(frozen=True, slots=True)
class Target:
    """One run of mongodump, which takes one database, or one collection of it, or all databases.

    Attributes:
        database: None: all, which `--oplog` needs.
        collection: None: all of the database but those `excluded`.
    """

    database: str | None = None
    collection: str | None = None
    excluded: tuple[str, ...] = ()


class Selection:
    """Which collections a Scope means; names of collections are taken as MongoDB shows them."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._wanted = [_pattern(each) for each in scope.namespaces]
        self._excluded = [_pattern(each) for each in scope.excluded]

    def database(self, name: str) -> bool:
        """Whether a database can have something of it."""
        if self._scope.databases:
            return name in self._scope.databases
        named = {each.partition(".")[0] for each in self._scope.namespaces}
        return name in named or (name not in OWN and not name.startswith(SCRATCH))

    def __contains__(self, key: Key) -> bool:
        """Whether a collection belongs to it."""
        name = str(key)
        return (
            self.database(key.database)
            and not key.collection.startswith(RESERVED)
            and (not self._wanted or any(each.fullmatch(name) for each in self._wanted))
            and not any(each.fullmatch(name) for each in self._excluded)
        )

    def whole(self, database: str) -> bool:
        """Whether all collections of a database are meant; no where that is in doubt."""
        named = not self._scope.namespaces or any(_means_all(each, database) for each in self._scope.namespaces)
        return named and not any(_may_concern(each, database) for each in self._scope.excluded)

    def missing(self, found: Iterable[Key]) -> list[str]:
        """What the Scope names, and is not there: databases, and namespaces without `*`."""
        keys = list(found)
        databases, names = {key.database for key in keys}, {str(key) for key in keys}
        named = [each for each in self._scope.namespaces if "*" not in each]
        return [each for each in self._scope.databases if each not in databases] + [
            each for each in named if each not in names
        ]


def targets(scope: Scope, found: Mapping[str, Iterable[str]]) -> tuple[Target, ...]:
    """The runs of mongodump for `scope`, where `found` are the collections of each database.

    Raises:
        SourceRefused: something that the Scope names is not there, or nothing is left of it.
    """
    selection = Selection(scope)
    keys = [Key(database, name) for database, names in found.items() for name in names]
    missing = selection.missing(keys)
    if missing:
        raise SourceRefused(f"MongoDB does not have {', '.join(missing)}: correct spec.source, or create it")
    chosen = []
    for database in sorted(found):
        names = sorted(name for name in found[database] if not _hidden(name))
        wanted = [name for name in names if Key(database, name) in selection]
        excluded = tuple(name for name in names if name not in wanted)
        if not wanted:
            continue
        if len(wanted) == 1 and excluded:
            chosen.append(Target(database, wanted[0]))
        else:
            chosen.append(Target(database, None, excluded))
    if not chosen:
        raise SourceRefused("there is nothing to dump: MongoDB has no database and collection that spec.source means")
    return tuple(chosen)


def _hidden(name: str) -> bool:
    """Buckets of time series, and what MongoDB keeps of views and indexes, come or stay away by themselves."""
    return name.startswith("system.")


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


def _means_all(namespace: str, database: str) -> bool:
    """Whether a pattern means all collections of a database, whatever they are called."""
    start, _, rest = namespace.partition(".")
    return rest == "*" and _pattern(start).fullmatch(database) is not None


def _may_concern(namespace: str, database: str) -> bool:
    """Whether a pattern may mean a collection of a database; a `*` stands for dots, too."""
    start, star, _ = namespace.partition(".")[0].partition("*")
    return database.startswith(start) if star else database == start
