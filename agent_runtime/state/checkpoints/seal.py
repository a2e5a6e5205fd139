"""Bytes as they are kept: compressed where that pays, encrypted where a key is given."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import UnreadableError

if TYPE_CHECKING:
    from agent_runtime.state.checkpoints.cipher import Cipher

_COMPRESSED = 1
_ENCRYPTED = 2
_LEVEL = 3

COMPRESS_ABOVE = 512
"""Bytes above which compressing is tried, where the spec says nothing."""


class Sealer:
    """Seals what is written, and opens what is read. The first byte of what is sealed says how."""

    def __init__(self, compress_above: int = COMPRESS_ABOVE, cipher: Cipher | None = None) -> None:
        self._compress_above = compress_above
        self._cipher = cipher

    @property
    def cipher(self) -> Cipher | None:
        """What encrypts, if anything does."""
        return self._cipher

    def seal(self, data: bytes, place: str) -> bytes:
        """The bytes to keep; encrypted ones can be opened at the same `place` only."""
        kind = 0
        if len(data) > self._compress_above:
            smaller = _zstd().ZstdCompressor(level=_LEVEL).compress(data)
            if len(smaller) < len(data):
                kind, data = kind | _COMPRESSED, smaller
        if self._cipher is not None:
            kind, data = kind | _ENCRYPTED, self._cipher.encrypt(data, place.encode())
        return bytes([kind]) + data

    def open(self, sealed: bytes, place: str) -> bytes:
        """What was sealed.

        Raises:
            UnreadableError: It is encrypted with a key that is not there.
        """
        kind, data = sealed[0], sealed[1:]
        if kind & _ENCRYPTED:
            if self._cipher is None:
                raise UnreadableError("the state is encrypted: set `state.encryption.keySecretRef` to its key")
            data = self._cipher.decrypt(data, place.encode())
        if kind & _COMPRESSED:
            data = _zstd().ZstdDecompressor().decompress(data)
        return data


@cache
def _zstd() -> Any:
    import zstandard  # noqa: PLC0415 - a pod without large values goes without it

    return zstandard
