"""Reads an archive in the pieces it arrives in, and takes nothing that is not whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct

from fastcrc.crc64 import xz

from apm_operator.backup.archive.prelude import (
    MAGIC,
    MAXIMUM_DOCUMENT,
    MINIMUM_DOCUMENT,
    TERMINATOR,
    Collection,
    Key,
    Prelude,
    PreludeBuilder,
    decode,
)
from apm_operator.backup.errors import Damaged
from apm_operator.backup.manifest import Namespace

_HEADER_LIMIT = 4096
"""Bytes of a block's header: names of databases and collections have 255 at most."""
_PRELUDE_LIMIT = 64 * 1024 * 1024
"""Bytes of all metadata: a hundred thousand collections of ordinary ones."""
_LENGTH = Struct("<i").unpack_from
_TERMINATED = -1
_NONE = -1
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the archive after its prelude, as they stand there: a header, some documents, or a terminator."""

    key: Key
    raw: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Sampled:
    """A document that was picked."""

    key: Key
    document: bytes


@dataclass(slots=True)
class _State:
    """What has been seen of a namespace."""

    collection: Collection
    wanted: Iterator[int]
    next_wanted: int
    documents: int = 0
    size: int = 0
    crc: int = 0
    closed: bool = False


class Reader:
    """An archive that is fed in any pieces.

    Attributes:
        prelude: None until all of it has been seen.
        position: bytes of the archive that have been judged.
        documents: that have been seen whole.
        sampled: the documents that were picked, so far.
    """

    def __init__(self, picks: Mapping[Key, Sequence[int]] | None = None, *, sample_limit: int = 1 << 30) -> None:
        """`picks`: which documents of a namespace to keep, by their ascending numbers from 0.

        What would make them more than `sample_limit` bytes is left out.
        """
        self.prelude: Prelude | None = None
        self.position = 0
        self.documents = 0
        self.sampled: list[Sampled] = []
        self._picks = picks or {}
        self._room = sample_limit
        self._builder: PreludeBuilder | None = None
        self._states: dict[Key, _State] = {}
        self._current: tuple[Key, _State] | None = None
        self._piece: Key | None = None
        self._ahead = 0  # bytes from `position` to where something is wrong
        self._ending = False
        self._rest = 0  # of the document that the data so far end within
        self._picked: bytearray | None = None
        self._carry = bytearray()
        self._needed = len(MAGIC)

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take in the next bytes; the pieces refer to them. The generator has to be taken to its end.

        Raises:
            Damaged: this is no archive, or it is broken; with the place.
        """
        if self._carry:
            self._carry += data
            if len(self._carry) < self._needed:
                return
            data = bytes(self._carry)
            self._carry.clear()
        view, at, start = memoryview(data), 0, self.position
        while at < len(data):
            try:
                step = self._body(data, at) if self._current is not None else self._frame(data, at)
            except Damaged as error:
                raise Damaged(
                    f"{error} (at byte {self.position + self._ahead} of the archive{self._where()})"
                ) from None
            if step == 0:
                break
            before, at = at, at + step
            self.position = start + at
            if self._piece is not None:
                yield Piece(self._piece, view[before:at])
        self._carry += view[at:]

    def close(self) -> tuple[Namespace, ...]:
        """What the archive holds, which is complete.

        Raises:
            Damaged: it ends too early.
        """
        if self._carry or self._rest or self._current is not None:
            raise Damaged(f"the archive breaks off after {self.position} bytes{self._where()}")
        if self.prelude is None:
            raise Damaged(f"the archive breaks off in its prelude, after {self.position} bytes")
        for key, state in self._states.items():
            if not state.closed:
                raise Damaged(f"the archive breaks off before the end of {key}")
        return self.namespaces()

    def namespaces(self) -> tuple[Namespace, ...]:
        """What has been seen of each namespace so far."""
        return tuple(_namespace(state) for state in self._states.values())

    def _where(self) -> str:
        if self._current is None:
            return ""
        key, state = self._current
        return f", in {key} after {state.documents} documents"

    def _frame(self, data: bytes, at: int) -> int:
        """Take what is no document of a collection; tells its size, or 0 where more data are needed."""
        self._piece, self._ahead = None, 0
        if self._builder is None:
            return self._magic(data, at)
        if len(data) - at < len(TERMINATOR):
            self._needed = len(TERMINATOR)
            return 0
        size: int = _LENGTH(data, at)[0]
        if size == _TERMINATED:
            return self._end_prelude()
        self._check_size(size, _HEADER_LIMIT if self.prelude else MAXIMUM_DOCUMENT)
        if len(data) - at < size:
            self._needed = size
            return 0
        document = data[at : at + size]
        if self.prelude is None:
            self._builder.add(document)
            if self.position + size > _PRELUDE_LIMIT:
                raise Damaged("the archive's prelude is too large")
        else:
            self._open(document)
        return size

    def _magic(self, data: bytes, at: int) -> int:
        if len(data) - at < len(MAGIC):
            self._needed = len(MAGIC)
            return 0
        if data[at : at + len(MAGIC)] != MAGIC:
            raise Damaged("this is no archive of mongodump")
        self._builder = PreludeBuilder()
        return len(MAGIC)

    def _end_prelude(self) -> int:
        if self.prelude is not None or self._builder is None:
            raise Damaged("a block has no header")
        self.prelude = self._builder.build()
        for collection in self.prelude.collections:
            wanted = iter(self._picks.get(collection.data_key, ()))
            self._states[collection.data_key] = _State(collection, wanted, next(wanted, _NONE))
        return len(TERMINATOR)

    def _open(self, header: bytes) -> None:
        """A block begins."""
        fields = decode(header)
        database, collection, crc = fields.get("db"), fields.get("collection"), fields.get("CRC")
        if not isinstance(database, str) or not isinstance(collection, str) or not isinstance(crc, int):
            raise Damaged("a block's header does not say what it is of")
        key = Key(database, collection)
        state = self._states.get(key)
        if state is None:
            raise Damaged(f"a block is of {key}, which the prelude does not name")
        if state.closed:
            raise Damaged(f"a block is of {key}, which has ended before")
        self._current, self._piece, self._ending = (key, state), key, fields.get("EOF") is True
        if self._ending:
            if crc & _MASK != state.crc:
                raise Damaged(f"the checksum of {key} is {crc & _MASK:016x}, but its documents have {state.crc:016x}")
            state.closed = True

    def _body(self, data: bytes, at: int) -> int:
        """Take documents, or the terminator after them; tells the bytes, or 0 where more data are needed."""
        key, state = self._current  # type: ignore[misc]  # the caller has looked
        self._piece = key
        end = self._documents(data, at, key, state)
        if end > at:
            if self._ending:
                raise Damaged(f"documents follow the end of {key}")
            span = memoryview(data)[at:end]
            state.crc, state.size = xz(span, state.crc), state.size + (end - at)
            return end - at
        if len(data) - at < len(TERMINATOR):
            self._needed = len(TERMINATOR)
            return 0
        self._current = None
        return len(TERMINATOR)

    def _documents(self, data: bytes, at: int, key: Key, state: _State) -> int:
        """Count documents and look at their sizes and ends; tells where the last of them ends, or the data."""
        length, begin = len(data), at
        if self._rest:
            at = self._continue(data, at, key, state)
        count, wanted = state.documents, state.next_wanted
        first = count
        try:
            while length - at >= 4 and not self._rest:  # noqa: PLR2004 - the bytes of a length
                size: int = _LENGTH(data, at)[0]
                if not MINIMUM_DOCUMENT <= size <= MAXIMUM_DOCUMENT:
                    if size == _TERMINATED:
                        break
                    self._check_size(size, MAXIMUM_DOCUMENT)
                end = at + size
                if end > length:
                    self._rest = end - length
                    if count == wanted:
                        self._picked = bytearray(data[at:]) if size <= self._room else None
                        wanted = state.next_wanted = wanted if self._picked else next(state.wanted, _NONE)
                    at = length
                    break
                if data[end - 1]:
                    raise Damaged("a document does not end with a null byte")
                if count == wanted:
                    wanted = self._pick(key, state, data[at:end])
                count += 1
                at = end
        finally:
            self.documents += count - first
            state.documents = count
            self._ahead = at - begin
        return at

    def _continue(self, data: bytes, at: int, key: Key, state: _State) -> int:
        """Take more of a document whose beginning was in earlier data."""
        end = min(at + self._rest, len(data))
        if self._picked is not None:
            self._picked += data[at:end]
        self._rest -= end - at
        if not self._rest:
            if data[end - 1]:
                raise Damaged("a document does not end with a null byte")
            if self._picked is not None:
                self._pick(key, state, bytes(self._picked))
                self._picked = None
            state.documents += 1
            self.documents += 1
        return end

    def _pick(self, key: Key, state: _State, document: bytes) -> int:
        if len(document) <= self._room:
            self._room -= len(document)
            self.sampled.append(Sampled(key, document))
        state.next_wanted = next(state.wanted, _NONE)
        return state.next_wanted

    @staticmethod
    def _check_size(size: int, limit: int) -> None:
        if not MINIMUM_DOCUMENT <= size <= limit:
            raise Damaged(f"{size} is no size of a document here")


def _namespace(state: _State) -> Namespace:
    it = state.collection
    return Namespace(
        database=it.database,
        collection=it.collection,
        type=it.type or "collection",
        documents=state.documents,
        size=state.size,
        crc64=f"{state.crc:016x}",
        options=it.options(),
        indexes=it.indexes(),
    )
