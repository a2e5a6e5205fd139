"""From an archive to the storage: compressed, encrypted where asked for, and its digest taken, all at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from isal import isal_zlib

from apm_operator.backup.age import Encryptor
from apm_operator.backup.stage import Stage
from apm_operator.backup.storage.base import Sink

_GZIP = 16 + isal_zlib.MAX_WBITS
_LEVEL = 2
"""ISA-L's levels end at 3; the archive shrinks about as with gzip -3, at ten times its speed."""

Chunk = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Written:
    """What went to the storage."""

    size: int
    sha256: str


class _Digested:
    """What is written to it goes to the storage, and into the digest."""

    def __init__(self, sink: Sink) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._sink = sink

    def write(self, data: Chunk) -> None:
        self.digest.update(data)
        self._sink.write(data)
        self.size += len(data)


def write(
    chunks: Iterable[Chunk], sink: Sink, recipients: Sequence[str] = (), *, wrote: Callable[[int], None] | None = None
) -> Written:
    """Write all `chunks`, compressed; nothing is finished, and the sink is neither finished nor aborted.

    Args:
        chunks: the archive. At most a few of them are held at any time.
        sink: where it goes.
        recipients: age's public keys; none: it is not encrypted.
        wrote: called for each chunk with the bytes that are stored so far.

    Raises:
        BackupError: what `chunks` or the storage raises.
    """
    target = _Digested(sink)
    storing: Stage[Chunk] = Stage("store", target.write)
    encryptor = Encryptor(storing.put, recipients) if recipients else None
    forward: Callable[[Chunk], object] = encryptor.write if encryptor else storing.put
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)
    compressing: Stage[Chunk] = Stage(
        "compress",
        lambda chunk: _forward(forward, compressor.compress(chunk)),
        lambda: _forward(forward, compressor.flush()),
    )
    try:
        for chunk in chunks:
            compressing.put(chunk)
            if wrote is not None:
                wrote(target.size)
        compressing.close()
        if encryptor:
            encryptor.close()
        storing.close()
    except BaseException:
        compressing.abort()
        if encryptor:
            encryptor.abort()
        storing.abort()
        raise
    return Written(target.size, target.digest.hexdigest())


def _forward(forward: Callable[[Chunk], object], data: bytes) -> None:
    if data:
        forward(data)
