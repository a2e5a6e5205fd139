"""Archives as mongodump would write them, made without it from the format's description."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import bson
from bson.int64 import Int64
from fastcrc.crc64 import xz

TERMINATOR = b"\xff\xff\xff\xff"
MAGIC = (0x8199E26D).to_bytes(4, "little")

Documents = Iterable[Mapping[str, Any]]


@dataclass
class ArchiveWriter:
    """Builds an archive block by block."""

    parts: list[bytes] = field(default_factory=list)
    crc: dict[tuple[str, str], int] = field(default_factory=dict)

    def begin(self, *collections: Mapping[str, Any], version: str = "0.1") -> ArchiveWriter:
        header = {"concurrent_collections": 4, "version": version, "server_version": "7.0.0", "tool_version": "100.6"}
        self.parts += [MAGIC, bson.encode(header), *map(bson.encode, collections), TERMINATOR]
        return self

    def block(self, database: str, collection: str, documents: Documents) -> ArchiveWriter:
        raw = b"".join(map(bson.encode, documents))
        key = (database, collection)
        self.crc[key] = xz(raw, self.crc.get(key, 0))
        self.parts += [_header(database, collection), raw, TERMINATOR]
        return self

    def end(self, database: str, collection: str, crc: int | None = None) -> ArchiveWriter:
        found = self.crc.get((database, collection), 0) if crc is None else crc
        signed = found - (1 << 64) if found >= 1 << 63 else found
        self.parts += [_header(database, collection, end=True, crc=signed), TERMINATOR]
        return self

    def bytes(self) -> bytes:
        return b"".join(self.parts)


def described(
    database: str,
    collection: str,
    *,
    indexes: Iterable[Any] = (),
    options: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A collection in the prelude."""
    own = {"v": {"$numberInt": "2"}, "key": {"_id": {"$numberInt": "1"}}, "name": "_id_"}
    metadata = json.dumps({"options": dict(options or {}), "indexes": [own, *indexes], "type": "collection"})
    return {"db": database, "collection": collection, "metadata": metadata, "size": 0, "type": "collection", **more}


def archive(contents: Mapping[tuple[str, str], Documents]) -> bytes:
    """One with a block for each of the collections."""
    writer = ArchiveWriter().begin(*(described(*key) for key in contents))
    for key, documents in contents.items():
        writer.block(*key, documents).end(*key)
    return writer.bytes()


def _header(database: str, collection: str, *, end: bool = False, crc: int = 0) -> bytes:
    return bson.encode({"db": database, "collection": collection, "EOF": end, "CRC": Int64(crc)})
