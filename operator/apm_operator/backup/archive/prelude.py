"""The beginning of an archive: who wrote it, and the collections that follow."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

import bson
from bson.errors import BSONError
from bson.int64 import Int64

from apm_operator.backup.errors import Damaged

MAGIC = b"\x6d\xe2\x99\x81"
TERMINATOR = b"\xff\xff\xff\xff"
MINIMUM_DOCUMENT = 5
MAXIMUM_DOCUMENT = 16 * 1024 * 1024 + 16 * 1024
"""What MongoDB lets a document be on the wire: 16 MiB, and room for what the server adds to it."""

_VERSION = "0.1"


class Key(NamedTuple):
    """Where documents of an archive belong."""

    database: str
    collection: str

    def __str__(self) -> str:
        return f"{self.database}.{self.collection}"

    @property
    def buckets(self) -> Key:
        """Where the documents of a time series of this name lie."""
        return Key(self.database, f"system.buckets.{self.collection}")


OPLOG = Key("", "oplog")
"""What `--oplog` adds to an archive."""


@dataclass(frozen=True, slots=True)
class Collection:
    """What the prelude says of a collection.

    Attributes:
        type: `collection`, `view` or `timeseries`; empty for the oplog.
        metadata: canonical extended JSON with `options` and `indexes`; empty where there is none.
    """

    database: str
    collection: str
    type: str
    metadata: str

    @property
    def key(self) -> Key:
        """Name of the collection."""
        return Key(self.database, self.collection)

    @property
    def data_key(self) -> Key:
        """Under which its documents follow: those of a time series lie in its buckets."""
        return self.key.buckets if self.type == "timeseries" else self.key

    def options(self) -> dict[str, Any]:
        """As listCollections gave them."""
        return dict(self._metadata().get("options") or {})

    def indexes(self) -> tuple[dict[str, Any], ...]:
        """As listIndexes gave them, without the one that every collection has."""
        return tuple(index for index in self._metadata().get("indexes") or () if list(index.get("key", ())) != ["_id"])

    def _metadata(self) -> dict[str, Any]:
        if not self.metadata:
            return {}
        try:
            read = json.loads(self.metadata)
        except ValueError as error:
            raise Damaged(f"the archive's metadata of {self.key} is no JSON: {error}") from None
        if not isinstance(read, dict):
            raise Damaged(f"the archive's metadata of {self.key} is no JSON object")
        return read


@dataclass(frozen=True, slots=True)
class Prelude:
    """Everything before the first document of an archive."""

    server_version: str
    tool_version: str
    concurrent: int
    collections: tuple[Collection, ...]

    def encode(self) -> bytes:
        """As it stands at the beginning of an archive."""
        header = {
            "concurrent_collections": self.concurrent,
            "version": _VERSION,
            "server_version": self.server_version,
            "tool_version": self.tool_version,
        }
        bodies = (
            {"db": it.database, "collection": it.collection, "metadata": it.metadata, "size": 0, "type": it.type}
            for it in self.collections
        )
        return b"".join((MAGIC, bson.encode(header), *map(bson.encode, bodies), TERMINATOR))


def encode_header(key: Key, *, end: bool = False, crc: int = 0) -> bytes:
    """What stands before documents of a collection, or after its last one."""
    signed = struct.unpack("<q", struct.pack("<Q", crc))[0]
    return bson.encode({"db": key.database, "collection": key.collection, "EOF": end, "CRC": Int64(signed)})


def encode_empty(key: Key) -> bytes:
    """A collection without documents, from its beginning to its end."""
    return encode_header(key, end=True) + TERMINATOR


class PreludeBuilder:
    """Takes in the documents of a prelude, one by one."""

    def __init__(self) -> None:
        self._header: dict[str, Any] | None = None
        self._collections: dict[Key, Collection] = {}

    def add(self, document: bytes) -> None:
        """The header first, then the collections.

        Raises:
            Damaged: it is not what an archive has there.
        """
        fields = decode(document)
        if self._header is None:
            if fields.get("version") != _VERSION:
                raise Damaged(f"the archive is of format {fields.get('version')!r}, not {_VERSION!r}")
            self._header = fields
            return
        texts = [fields.get(name, "") for name in ("db", "collection", "type", "metadata")]
        if not all(isinstance(text, str) for text in texts) or not texts[1]:
            raise Damaged("the archive's prelude describes a collection without a name")
        collection = Collection(*texts)
        if self._collections.setdefault(collection.data_key, collection) is not collection:
            raise Damaged(f"the archive's prelude names {collection.key} twice")

    def build(self) -> Prelude:
        """The prelude, which is complete.

        Raises:
            Damaged: it has not even a header.
        """
        if self._header is None:
            raise Damaged("the archive has no header")
        concurrent = self._header.get("concurrent_collections")
        return Prelude(
            server_version=str(self._header.get("server_version", "")),
            tool_version=str(self._header.get("tool_version", "")),
            concurrent=concurrent if isinstance(concurrent, int) else 1,
            collections=tuple(self._collections.values()),
        )


def decode(document: bytes) -> dict[str, Any]:
    """The fields of a BSON document.

    Raises:
        Damaged: it is none.
    """
    try:
        return dict(bson.decode(document))
    except (BSONError, ValueError, OverflowError) as error:
        raise Damaged(f"the archive has something that is no BSON document: {error}") from None
