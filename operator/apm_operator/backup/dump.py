"""One archive of everything that a backup is to hold, made of one or more runs of mongodump."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from pymongo import MongoClient, read_preferences
from pymongo.errors import PyMongoError

from apm_operator.backup import job, mongo
from apm_operator.backup.archive.prelude import OPLOG, Collection, Key, Prelude, encode_empty
from apm_operator.backup.archive.reader import Reader
from apm_operator.backup.connection import connect, redacted
from apm_operator.backup.errors import ConfigError, DumpFailed, SourceRefused
from apm_operator.backup.manifest import Namespace
from apm_operator.backup.mongodump import Mongodump, Options, mongodump
from apm_operator.backup.scope import Selection, Target, targets

_SELECTION_TIMEOUT = 20_000


def plan(source: job.Mongo, scope: job.Scope, *, oplog: bool, read_preference: str) -> tuple[Target, ...]:
    """The runs of mongodump.

    Raises:
        ConfigError: an oplog is asked for where there is none, or of a part of the server.
        SourceError: MongoDB can't be reached, or does not have what is to be dumped.
    """
    if oplog and scope != job.Scope():
        raise ConfigError("spec.source.oplog needs the whole server: name no databases, namespaces or excluded ones")
    try:
        preference = read_preferences.make_read_preference(_mode(read_preference), None)
        options = {"serverSelectionTimeoutMS": _SELECTION_TIMEOUT, "read_preference": preference}
        with closing(connect(source, **options)) as client:
            if oplog:
                _check_oplog(client)
                return (Target(),)
            return targets(scope, _collections(client, Selection(scope)))
    except PyMongoError as error:
        text = redacted(str(error).partition(", Timeout:")[0], source)
        raise mongo.kind(error)(f"MongoDB can't be read: {text}") from None


def _mode(name: str) -> int:
    try:
        return read_preferences.read_pref_mode_from_name(name)
    except ValueError:
        raise ConfigError(f"{name!r} is no read preference of MongoDB") from None


def _check_oplog(client: MongoClient[dict[str, Any]]) -> None:
    hello = client.admin.command("hello")
    if hello.get("msg") == "isdbgrid":
        raise ConfigError("spec.source.oplog: mongodump can't take an oplog from a sharded cluster")
    if "setName" not in hello:
        raise ConfigError("spec.source.oplog: this MongoDB is no replica set, and has no oplog")


def _collections(client: MongoClient[dict[str, Any]], selection: Selection) -> dict[str, list[str]]:
    names = [name for name in client.list_database_names() if selection.database(name)]
    return {name: client[name].list_collection_names() for name in names}


class Dump:
    """The archive, in chunks, and what is in it.

    Attributes:
        namespaces: of the archive, after its last chunk.
        prelude: likewise.
        size: bytes of the archive so far.
        documents: that it holds so far.
    """

    def __init__(self, runs: Sequence[Target], scope: job.Scope, options: Options) -> None:
        self.namespaces: tuple[Namespace, ...] = ()
        self.prelude: Prelude | None = None
        self.size = 0
        self.documents = 0
        self._runs, self._options = runs, options
        self._selection = Selection(scope)
        self._kept: dict[Key, Collection] = {}

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The archive; each chunk is to be used before the next one is asked for.

        Raises:
            DumpFailed: mongodump failed, or its archive is not what it reports.
            Damaged: its archive is broken.
            SourceRefused: there is nothing in it.
        """
        if len(self._runs) > 1:
            yield self._counted(self._begin([self._peek(run) for run in self._runs]))
        for target in self._runs:
            with mongodump(target, self._options) as run:
                yield from self._run(target, run)

    def _run(self, target: Target, run: Mongodump) -> Iterator[bytes | memoryview]:
        reader = Reader()
        before = self.documents
        for data in run.chunks():
            # mongodump writes 16 MiB at a time: most chunks are one piece
            for piece in reader.feed(data):
                if self.prelude is None:
                    yield self._counted(self._begin([_known(reader)]))
                if piece.key in self._kept:
                    yield self._counted(piece.raw)
            self.documents = before + reader.documents
        if self.prelude is None:
            yield self._counted(self._begin([_known(reader)]))
        found = {key: _as_begun(it, self._kept[key]) for key, it in _by_key(reader) if key in self._kept}
        _compare(found, run.reported)
        self.documents = before + sum(it.documents for it in found.values())
        self.namespaces += tuple(found.values())
        # A collection that was dropped since the prelude was written is restored as an empty one.
        for key, collection in self._kept.items():
            if key not in found and collection.database == target.database:
                yield self._counted(encode_empty(key))
                self.namespaces += (_empty(collection),)

    def _peek(self, target: Target) -> Prelude:
        """What a run is going to hold. mongodump says so before it reads the first document."""
        reader = Reader()
        with mongodump(target, self._options) as run:
            for data in run.chunks():
                for _ in reader.feed(data):
                    break
                if reader.prelude is not None:
                    break
        return _known(reader)

    def _begin(self, preludes: Sequence[Prelude]) -> bytes:
        found = [collection for prelude in preludes for collection in prelude.collections]
        self._kept = {it.data_key: it for it in found if it.key == OPLOG or it.key in self._selection}
        if not any(key != OPLOG for key in self._kept):
            raise SourceRefused("there is nothing to dump: MongoDB has no collection that spec.source means any more")
        first = preludes[0]
        collections = tuple(self._kept.values())
        self.prelude = Prelude(first.server_version, first.tool_version, first.concurrent, collections)
        return self.prelude.encode()

    def _counted(self, data: bytes | memoryview) -> bytes | memoryview:
        self.size += len(data)
        return data


def _known(reader: Reader) -> Prelude:
    if reader.prelude is None:
        raise DumpFailed("mongodump wrote no archive")
    return reader.prelude


def _by_key(reader: Reader) -> Iterator[tuple[Key, Namespace]]:
    found = reader.close()
    return zip((it.data_key for it in _known(reader).collections), found, strict=True)


def _as_begun(found: Namespace, begun: Collection) -> Namespace:
    """What was dumped, as the archive's beginning defines it: an index may have come or gone since."""
    kind = begun.type or "collection"
    return found.model_copy(update={"type": kind, "options": begun.options(), "indexes": begun.indexes()})


def _compare(found: Mapping[Key, Namespace], reported: Mapping[str, int]) -> None:
    for key, namespace in found.items():
        if "\n" in str(key):
            continue  # its line is broken in two; that it is whole, its checksum says
        if key != OPLOG and reported.get(str(key)) != namespace.documents:
            told = reported.get(str(key), "nothing")
            raise DumpFailed(f"mongodump reports {told} of {key}, but wrote {namespace.documents} documents of it")


def _empty(it: Collection) -> Namespace:
    return Namespace(
        database=it.database,
        collection=it.collection,
        type=it.type or "collection",
        documents=0,
        size=0,
        crc64="0" * 16,
        options=it.options(),
        indexes=it.indexes(),
    )
