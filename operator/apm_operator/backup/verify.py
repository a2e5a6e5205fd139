"""Reads a stored backup to its last byte, and says what it holds; nothing is taken on trust."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, cast

from isal import isal_zlib

from apm_operator.backup.age import decrypting
from apm_operator.backup.archive.prelude import Key, Prelude
from apm_operator.backup.archive.reader import Reader, Sampled
from apm_operator.backup.errors import Damaged
from apm_operator.backup.manifest import Manifest, Namespace
from apm_operator.backup.stage import Stage

_CHUNK = 1 << 20
_SAMPLE_BYTES = 16 << 20
# The library's stub takes its exception for a value.
_BROKEN = cast("type[Exception]", isal_zlib.IsalError)
_GZIP = 16 + isal_zlib.MAX_WBITS


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Verified:
    """What a stored backup holds.

    Attributes:
        size: bytes of it as stored.
        sha256: of these bytes, hexadecimal.
        archive_size: bytes of the archive.
        sampled: documents of it, picked at random.
    """

    size: int
    sha256: str
    archive_size: int
    prelude: Prelude
    namespaces: tuple[Namespace, ...]
    sampled: tuple[Sampled, ...]


def verify(
    stored: BinaryIO,
    *,
    identities: list[Any] | None = None,
    picks: Mapping[Key, Sequence[int]] | None = None,
    advanced: Callable[[Reader], None] | None = None,
) -> Verified:
    """Read `stored` to its end.

    Args:
        stored: as it lies in the storage.
        identities: age's private keys (`age.identities`), where it is encrypted.
        picks: documents to keep, as `pick` gives them.
        advanced: called about each MiB of the archive.

    Raises:
        Damaged: something is broken or missing, with the place.
        KeyMissing: none of the keys opens it.
        StorageError: it can't be read.
    """
    reader = Reader(picks, sample_limit=_SAMPLE_BYTES)
    source = _Digesting(stored)
    try:
        with _plain(source, identities) as plain:
            _read(plain, reader, advanced)
        source.drain()
        namespaces = reader.close()
        source.close()
    except BaseException:
        source.abort()
        raise
    assert reader.prelude is not None  # noqa: S101 - close() has looked
    return Verified(
        size=source.size,
        sha256=source.digest.hexdigest(),
        archive_size=reader.position,
        prelude=reader.prelude,
        namespaces=namespaces,
        sampled=tuple(reader.sampled),
    )


def chunks(stored: BinaryIO, identities: list[Any] | None) -> Generator[bytes, None, None]:
    """The archive of a stored backup that has been verified, in pieces.

    Raises:
        Damaged: it no longer is what it was.
        KeyMissing: none of the keys opens it.
        StorageError: it can't be read.
    """
    try:
        with _plain(stored, identities) as plain:
            yield from _decompressed(plain)
    except _BROKEN as error:
        raise Damaged(f"the compressed data are broken: {error}") from None


def check(found: Verified, manifest: Manifest) -> None:
    """Compare with what the manifest says.

    Raises:
        Damaged: it is something else.
    """
    for what, told, is_ in (
        ("size", manifest.size, found.size),
        ("SHA-256", manifest.sha256, found.sha256),
        ("size of the archive", manifest.archive_size, found.archive_size),
    ):
        if told != is_:
            raise Damaged(f"the {what} of {manifest.data} is {is_}, but its manifest says {told}")
    compare(manifest.namespaces, found.namespaces)


def compare(dumped: Sequence[Namespace], stored: Sequence[Namespace]) -> None:
    """Compare what was dumped with what was read back, in whatever order.

    Raises:
        Damaged: they are not the same.
    """
    before = {(it.database, it.collection): it for it in dumped}
    after = {(it.database, it.collection): it for it in stored}
    for database, collection in before.keys() | after.keys():
        if before.get((database, collection)) != after.get((database, collection)):
            raise Damaged(f"what is stored of {database}.{collection} is not what was dumped of it")


def pick(namespaces: Sequence[Namespace], count: int) -> dict[Key, list[int]]:
    """Numbers of about `count` documents: of each namespace at least one, of large ones more."""
    total = sum(it.documents for it in namespaces)
    chosen = random.SystemRandom()
    picks = {}
    for it in namespaces:
        share = min(it.documents, max(1, count * it.documents // total)) if it.documents and count else 0
        key = Key(it.database, it.collection)
        picks[key.buckets if it.type == "timeseries" else key] = sorted(chosen.sample(range(it.documents), share))
    return picks


def _plain(source: _Digesting | BinaryIO, identities: list[Any] | None) -> AbstractContextManager[_Readable]:
    return nullcontext(source) if identities is None else decrypting(cast("BinaryIO", source), identities)


def _read(plain: _Readable, reader: Reader, advanced: Callable[[Reader], None] | None) -> None:
    try:
        for data in _decompressed(plain):
            for _ in reader.feed(data):
                pass
            if advanced is not None:
                advanced(reader)
    except _BROKEN as error:
        raise Damaged(f"the compressed data are broken after {reader.position} bytes of the archive: {error}") from None


def _decompressed(plain: _Readable) -> Iterator[bytes]:
    """A MiB at a time, however well it was compressed."""
    inflate = isal_zlib.decompressobj(_GZIP)
    while data := plain.read(_CHUNK):
        if inflate.eof:
            raise Damaged("something follows the end of the compressed data")
        while data:
            yield inflate.decompress(data, _CHUNK)
            data = inflate.unconsumed_tail
        if inflate.unused_data:
            raise Damaged("something follows the end of the compressed data")
    if not inflate.eof:
        raise Damaged("the compressed data break off")


class _Digesting:
    """Reads on, and has the digest taken in another thread meanwhile."""

    def __init__(self, stored: BinaryIO) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._stored = stored
        self._stage: Stage[bytes] = Stage("digest", self.digest.update)

    def read(self, size: int = -1) -> bytes:
        data = self._stored.read(_CHUNK if size < 0 else size)
        if data:
            self.size += len(data)
            self._stage.put(data)
        return data

    def drain(self) -> None:
        """Nothing may follow what was asked for, but it belongs to the digest."""
        while self.read(_CHUNK):
            pass

    def close(self) -> None:
        self._stage.close()

    def abort(self) -> None:
        self._stage.abort()
