"""Archives that are whole, and all the ways in which they are not."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from fastcrc.crc64 import xz

from apm_operator.backup.archive.prelude import Collection, Key, Prelude, encode_empty, encode_header
from apm_operator.backup.archive.reader import Reader
from apm_operator.backup.errors import Damaged
from apm_operator.backup.manifest import Namespace
from fakes.archives import MAGIC, TERMINATOR, ArchiveWriter, archive, described

ORDERS = [{"_id": number, "text": "x" * number} for number in range(30)]
SHOP = {("shop", "orders"): ORDERS, ("shop", "customers"): [{"_id": "c1"}], ("shop", "empty"): []}


def _read(data: bytes, size: int | None = None, **options: Any) -> Reader:
    reader = Reader(**options)
    step = size or len(data) or 1
    for at in range(0, len(data), step):
        for _ in reader.feed(data[at : at + step]):
            pass
    return reader


def _interleaved() -> bytes:
    writer = ArchiveWriter().begin(described("a", "one"), described("a", "two"))
    writer.block("a", "one", ORDERS[:3]).block("a", "two", ORDERS[3:5]).block("a", "one", ORDERS[5:9]).end("a", "two")
    return writer.block("a", "one", ORDERS[9:]).end("a", "one").bytes()


@pytest.mark.parametrize("size", [None, 1, 2, 3, 5, 7, 64, 1000])
def test_an_archive_is_read_in_any_pieces(size):
    reader = _read(archive(SHOP), size)
    assert [(it.database, it.collection, it.documents) for it in reader.close()] == [
        ("shop", "orders", 30),
        ("shop", "customers", 1),
        ("shop", "empty", 0),
    ]
    assert reader.documents == 31
    assert reader.position == len(archive(SHOP))


@pytest.mark.parametrize("size", [None, 1, 13])
def test_blocks_of_several_collections_may_take_turns(size):
    one, two = _read(_interleaved(), size).close()
    assert (one.documents, two.documents) == (28, 2)
    assert one.size == sum(len(bson.encode(it)) for it in ORDERS[:3] + ORDERS[5:])


def test_the_checksum_is_the_one_of_the_field():
    # https://reveng.sourceforge.io/crc-catalogue/17plus.htm#crc.cat.crc-64-xz
    writer = ArchiveWriter().begin(described("a", "one"))
    document = bson.encode({"_id": 1})
    (found,) = _read(writer.block("a", "one", [{"_id": 1}]).end("a", "one").bytes()).close()
    assert xz(b"123456789") == 0x995DC9BBDF1939FA
    assert found.crc64 == f"{xz(document[4:], xz(document[:4])):016x}"


def test_pieces_are_the_archive_after_its_prelude():
    data = _interleaved()
    for size in (1, 17, len(data)):
        reader, pieces = Reader(), []
        for at in range(0, len(data), size):
            pieces += [bytes(piece.raw) for piece in reader.feed(data[at : at + size])]
        assert reader.prelude is not None
        prelude = ArchiveWriter().begin(described("a", "one"), described("a", "two")).bytes()
        assert b"".join([prelude, *pieces]) == data


def test_the_prelude_can_be_written_again():
    reader = _read(archive(SHOP))
    assert reader.prelude is not None
    again = Reader()
    rest = b"".join(encode_empty(it.data_key) for it in reader.prelude.collections)
    list(again.feed(reader.prelude.encode() + rest))
    assert again.prelude == reader.prelude
    assert sum(it.documents for it in again.close()) == 0


def test_documents_are_picked_by_number():
    wanted = {Key("shop", "orders"): [0, 7, 29], Key("shop", "customers"): [0]}
    for size in (None, 1, 11):
        reader = _read(archive(SHOP), size, picks=wanted)
        found = [(str(it.key), bson.decode(it.document)["_id"]) for it in reader.sampled]
        assert found == [("shop.orders", 0), ("shop.orders", 7), ("shop.orders", 29), ("shop.customers", "c1")]


def test_options_and_indexes_come_from_the_prelude():
    ttl = {"v": {"$numberInt": "2"}, "key": {"at": {"$numberInt": "1"}}, "name": "at_1", "expireAfterSeconds": 60}
    capped = {"capped": True, "size": {"$numberInt": "4096"}}
    writer = ArchiveWriter().begin(described("a", "one", indexes=[ttl], options=capped)).end("a", "one")
    (found,) = _read(writer.bytes()).close()
    assert found == Namespace(
        database="a",
        collection="one",
        documents=0,
        size=0,
        crc64="0" * 16,
        options=capped,
        indexes=(ttl,),
    )


def test_a_time_series_has_its_documents_in_buckets():
    writer = ArchiveWriter().begin(described("a", "series", type="timeseries"))
    writer.block("a", "system.buckets.series", ORDERS[:2]).end("a", "system.buckets.series")
    (found,) = _read(writer.bytes()).close()
    assert (found.collection, found.type, found.documents) == ("series", "timeseries", 2)


@pytest.mark.parametrize("data", [archive(SHOP), _interleaved()], ids=["blocks", "interleaved"])
def test_an_archive_that_is_cut_anywhere_is_found(data):
    for end in range(len(data)):
        with pytest.raises(Damaged, match="breaks off"):
            _read(data[:end]).close()


def test_each_flipped_bit_of_the_documents_is_found():
    data = archive({("shop", "orders"): ORDERS[:4]})
    first = data.index(bson.encode(ORDERS[0]))
    for bit in range(first * 8, len(data) * 8):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            _read(bytes(broken)).close()


def _blocks(*parts: bytes) -> bytes:
    collection = Collection("a", "one", "collection", "{}")
    return b"".join((Prelude("7", "100", 4, (collection,)).encode(), *parts))


_ONE = Key("a", "one")
_HUGE = (17 * 1024 * 1024).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "breaks off in its prelude"),
        (b"PK\x03\x04", "no archive of mongodump"),
        (MAGIC + TERMINATOR, "has no header"),
        (ArchiveWriter().begin(version="2").bytes(), "of format '2'"),
        (ArchiveWriter().begin(described("a", "one"), described("a", "one")).bytes(), "names a.one twice"),
        (ArchiveWriter().begin({"db": "a", "collection": ""}).bytes(), "without a name"),
        (ArchiveWriter().begin(described("a", "one", metadata="{")).end("a", "one").bytes(), "no JSON"),
        (ArchiveWriter().begin(described("a", "one", metadata="[]")).end("a", "one").bytes(), "no JSON object"),
        (MAGIC + b"\x05\x00\x00\x00\x01", "no BSON"),
        (MAGIC + _HUGE, "no size of a document"),
        (MAGIC + b"\x04\x00\x00\x00", "no size of a document"),
        (_blocks(TERMINATOR), "a block has no header"),
        (_blocks(bson.encode({"db": "a"}), TERMINATOR), "does not say what it is of"),
        (_blocks(encode_header(Key("b", "two"))), "which the prelude does not name"),
        (_blocks(encode_empty(_ONE), encode_header(_ONE)), "which has ended before"),
        (_blocks(encode_header(_ONE, end=True, crc=1)), "the checksum of a.one"),
        (_blocks(encode_header(_ONE, end=True), bson.encode({})), "documents follow the end"),
        (_blocks(encode_header(_ONE), _HUGE), "no size of a document"),
        (_blocks(encode_header(_ONE), b"\xfe\xff\xff\xff"), "no size of a document"),
        (_blocks(encode_header(_ONE), b"\x05\x00\x00\x00\x01"), "null byte"),
        (_blocks(encode_header(_ONE), TERMINATOR), "before the end of a.one"),
        (_blocks(b"\x00\x20\x00\x00"), "8192 is no size"),
        (_blocks(encode_empty(_ONE), b"\x00"), "breaks off"),
        (_blocks(encode_empty(_ONE), TERMINATOR), "a block has no header"),
    ],
)
def test_what_is_no_archive_is_refused(data, told):
    for size in (None, 1):
        with pytest.raises(Damaged, match=told):
            _read(data, size).close()


def test_the_place_is_told():
    data = _blocks(encode_header(_ONE), bson.encode({"_id": 1}), b"\x01\x00\x00\x00")
    with pytest.raises(Damaged, match=rf"at byte {len(data) - 4} of the archive, in a.one after 1 documents"):
        _read(data)


def test_a_document_is_never_held_unless_it_is_picked():
    reader = Reader()
    document = bson.encode({"_id": 1, "data": b"x" * 1_000_000})
    list(reader.feed(_blocks(encode_header(_ONE))))
    for at in range(0, len(document), 1000):
        list(reader.feed(document[at : at + 1000]))
        assert len(reader._carry) < 16
    assert reader.documents == 1
