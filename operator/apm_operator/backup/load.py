"""Restores collections beside what is there, and proves that they are what was dumped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from apm_operator.backup import mongorestore
from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.compare import creatable, differences
from apm_operator.backup.errors import Differs
from apm_operator.backup.job import Mongo
from apm_operator.backup.manifest import Namespace
from apm_operator.backup.mongo import Client, Collection, collections, count, from_canonical, list_indexes

_TOLD = 5
"""Differences that an error names."""

Advanced = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Pair:
    """A collection of a backup, and what it is called while it is restored."""

    namespace: Namespace
    target: Key

    @property
    def source(self) -> Key:
        """Its name in the backup."""
        return Key(self.namespace.database, self.namespace.collection)


def fill(
    client: Client,
    target: Mongo,
    pairs: Sequence[Pair],
    archive: Iterable[bytes],
    *,
    program: str = mongorestore.PROGRAM,
    patience: float = mongorestore.PATIENCE,
    advanced: Advanced = lambda _: None,
) -> int:
    """Restore documents and options, and compare both with the manifest; tells the documents.

    Args:
        client: of the target.
        target: the same server.
        pairs: what to restore; views are left out.
        archive: of the backup.
        program: mongorestore.
        patience: seconds that the target may be away.
        advanced: is told how many collections have been compared.

    Raises:
        ToolFailed: mongorestore failed, or says that a document did.
        Differs: the target holds something else than the backup.
    """
    chosen = [pair for pair in pairs if pair.namespace.type != "view"]
    names = [name for pair in chosen for name in _names(pair)]
    mean = max((it.namespace.size // it.namespace.documents for it in chosen if it.namespace.documents), default=0)
    restored = mongorestore.restore(target, archive, names, mean=mean, program=program, patience=patience)
    expected = sum(pair.namespace.documents for pair in chosen)
    if restored != expected:
        raise Differs(f"mongorestore says that it restored {restored} documents, but the backup has {expected}")
    there = _there(client, chosen)
    said: list[str] = []
    for number, pair in enumerate(chosen):
        # What is counted of a time series are measurements; its documents in the archive are buckets.
        documents = count(client, pair.target) if pair.namespace.type == "collection" else None
        said += differences(pair.namespace, there.get(pair.target), documents=documents, indexes=False)
        advanced(number + 1)
    _raise(said)
    return restored


def _names(pair: Pair) -> list[tuple[Key, Key]]:
    """What mongorestore calls it in the backup, and here: it sends buckets where they came from, unless it is told."""
    buckets = [(pair.source.buckets, pair.target.buckets)] if pair.namespace.type == "timeseries" else []
    return [(pair.source, pair.target), *buckets]


def index(client: Client, pairs: Sequence[Pair], advanced: Advanced = lambda _: None) -> int:
    """Build the indexes as the manifest has them, and compare them; tells how many there are.

    From here on TTL indexes are at work: counts may go down.

    Raises:
        Differs: the server has made something else of them.
    """
    chosen = [pair for pair in pairs if pair.namespace.type != "view"]
    said: list[str] = []
    there = _there(client, chosen)
    for number, pair in enumerate(chosen):
        if pair.namespace.indexes:
            definitions = [from_canonical(creatable(each)) for each in pair.namespace.indexes]
            client[pair.target.database].command("createIndexes", pair.target.collection, indexes=definitions)
        found = there.get(pair.target)
        if found is not None:
            found = Collection(found.key, found.type, found.options, list_indexes(client, pair.target))
        said += differences(pair.namespace, found, documents=None)
        advanced(number + 1)
    _raise(said)
    return sum(len(pair.namespace.indexes) for pair in chosen)


def _there(client: Client, pairs: Sequence[Pair]) -> dict[Key, Collection]:
    databases = {pair.target.database for pair in pairs}
    return {each.key: each for database in databases for each in collections(client, database)}


def _raise(said: Sequence[str]) -> None:
    if said:
        more = f"; and {len(said) - _TOLD} more" if len(said) > _TOLD else ""
        raise Differs("; ".join(said[:_TOLD]) + more)
