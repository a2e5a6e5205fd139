"""The restore test: a backup is restored into scratch databases, compared, and dropped again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import cast

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from apm_operator.backup import load, mongo
from apm_operator.backup.archive.prelude import OPLOG, Key
from apm_operator.backup.archive.reader import Sampled
from apm_operator.backup.errors import ConfigError, Differs
from apm_operator.backup.job import Mongo
from apm_operator.backup.manifest import Manifest, Namespace
from apm_operator.backup.report import TestFacts
from apm_operator.backup.restore import Means, identities
from apm_operator.backup.scope import OWN, RESERVED
from apm_operator.backup.verify import chunks

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


def restore_test(
    target: Mongo, scratch: str, manifest: Manifest, sampled: Sequence[Sampled], means: Means
) -> TestFacts:
    """Restore all of a backup that has been verified.

    Args:
        target: the server for it.
        scratch: beginning of the scratch databases' names; databases that an earlier test left there are dropped.
        manifest: of the backup.
        sampled: documents of the backup, picked at random, which have to be there byte by byte.
        means: storage and tools.

    Raises:
        Differs: what was restored is not what was dumped.
        BackupError: the test could not be done.
    """
    began = time.monotonic()
    with mongo.connected(target) as client:
        _drop(client, scratch)
        try:
            chosen = pairs(manifest.namespaces, scratch)
            documents = _test(client, target, chosen=chosen, manifest=manifest, sampled=sampled, means=means)
        finally:
            with suppress(PyMongoError):
                _drop(client, scratch)
    return TestFacts(
        name=manifest.name,
        at=datetime.now(UTC),
        restored=True,
        good=True,
        documents=documents,
        seconds=round(time.monotonic() - began, 3),
    )


def pairs(namespaces: Iterable[Namespace], scratch: str) -> list[load.Pair]:
    """Where each collection goes: one scratch database for each database.

    Raises:
        ConfigError: the backup holds databases that are called like scratch databases.
    """
    chosen = [
        each
        for each in namespaces
        if each.database not in OWN
        and each.database != OPLOG.database
        and not each.collection.startswith(("system.", RESERVED))
    ]
    databases = sorted({each.database for each in chosen})
    taken = [name for name in databases if _is_scratch(name, scratch)]
    if taken:
        raise ConfigError(f"{taken[0]} is called like a scratch database of the restore test: rename it")
    return [load.Pair(it, Key(f"{scratch}_{databases.index(it.database)}", it.collection)) for it in chosen]


def _test(
    client: mongo.Client,
    target: Mongo,
    *,
    chosen: Sequence[load.Pair],
    manifest: Manifest,
    sampled: Sequence[Sampled],
    means: Means,
) -> int:
    with means.storage.read(manifest.data) as stored, closing(chunks(stored, identities(means, manifest))) as archive:
        documents = load.fill(client, target, chosen, _told(means, manifest, archive), program=means.program)
    # Before there are indexes: one with a TTL may remove documents at any time.
    _compare_sample(client, chosen, sampled)
    load.index(client, chosen)
    return documents


def _told(means: Means, manifest: Manifest, archive: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in archive:
        size += len(piece)
        means.tell("Testing", 0, size, min(100, 100 * size // max(1, manifest.archive_size)))
        yield piece


def _compare_sample(client: mongo.Client, chosen: Sequence[load.Pair], sampled: Sequence[Sampled]) -> None:
    """Documents by their `_id`, byte by byte; those of time series are buckets, which have no such place."""
    places = {pair.source: pair.target for pair in chosen if pair.namespace.type == "collection"}
    for each in sampled:
        place = places.get(each.key)
        if place is None:
            continue
        wanted = RawBSONDocument(each.document, _RAW)
        documents = cast(
            "Collection[RawBSONDocument]",
            client[place.database].get_collection(place.collection, codec_options=_RAW),
        )
        found = documents.find_one({"_id": {"$eq": wanted["_id"]}})
        if found is None:
            raise Differs(f"a document of {each.key} is missing: _id {_shown(wanted)}")
        if found.raw != each.document:
            raise Differs(f"a document of {each.key} is not the one that was dumped: _id {_shown(wanted)}")


def _shown(document: RawBSONDocument) -> str:
    """Ids are no secrets, but may be long."""
    return repr(bson.decode(document.raw)["_id"])[:100]


def _drop(client: mongo.Client, scratch: str) -> None:
    for name in client.list_database_names():
        if _is_scratch(name, scratch):
            client.drop_database(name)


def _is_scratch(name: str, scratch: str) -> bool:
    return re.fullmatch(re.escape(scratch) + r"_\d+", name) is not None
