"""What was written can be verified, and nothing that was changed can."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyrage import x25519

from apm_operator.backup import age
from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.errors import Damaged, KeyMissing
from apm_operator.backup.manifest import Namespace
from apm_operator.backup.pipeline import write
from apm_operator.backup.verify import Verified, compare, pick, verify
from fakes.archives import archive

FLIPS = int(os.environ.get("APM_FLIPS", "1000"))
ARCHIVE = archive(
    {
        ("shop", "orders"): [{"_id": number, "text": hashlib.sha512(b"%d" % number).digest()} for number in range(500)],
        ("shop", "customers"): [{"_id": "c1"}],
    }
)


class Sink:
    """A sink in memory."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes | memoryview) -> int:
        self.data += data
        return len(data)

    def finish(self) -> None:
        """Nothing to do."""

    def abort(self) -> None:
        self.data.clear()


@pytest.fixture(scope="module")
def identity(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("age") / "identity"
    path.write_text(str(x25519.Identity.generate()))
    return path


def _stored(data: bytes = ARCHIVE, recipients: tuple[str, ...] = ()) -> bytes:
    sink = Sink()
    written = write((data[at : at + 1000] for at in range(0, len(data), 1000)), sink, recipients)
    assert written.size == len(sink.data)
    return bytes(sink.data)


def _recipient(identity: Path) -> str:
    return str(x25519.Identity.from_str(identity.read_text()).to_public())


def test_what_is_stored_is_what_was_dumped():
    stored = _stored()
    found = verify(io.BytesIO(stored))
    assert gzip.decompress(stored) == ARCHIVE
    assert (found.size, found.archive_size) == (len(stored), len(ARCHIVE))
    assert [(it.collection, it.documents) for it in found.namespaces] == [("orders", 500), ("customers", 1)]


def test_encrypted_data_are_verified_with_the_key_only(identity):
    stored = _stored(recipients=(_recipient(identity),))
    found = verify(io.BytesIO(stored), identities=age.identities(identity))
    assert found.archive_size == len(ARCHIVE)
    with pytest.raises(KeyMissing):
        verify(io.BytesIO(stored), identities=[x25519.Identity.generate()])
    with pytest.raises(Damaged):
        verify(io.BytesIO(stored))


def _differs(data: bytes, before: Verified) -> bool:
    try:
        found = verify(io.BytesIO(data))
        compare(before.namespaces, found.namespaces)
    except Damaged:
        return True
    return found.sha256 != before.sha256


def test_each_flipped_bit_is_found():
    stored, chosen = _stored(), random.Random(1)  # noqa: S311 - the same bits each time
    before = verify(io.BytesIO(stored))
    bits = range(len(stored) * 8)
    for bit in chosen.sample(bits, min(FLIPS, len(bits))):
        broken = bytearray(stored)
        broken[bit // 8] ^= 1 << bit % 8
        assert _differs(bytes(broken), before), f"bit {bit}"
    assert not _differs(stored, before)


def test_what_breaks_off_or_goes_on_is_damaged():
    stored = _stored(archive({("a", "b"): [{"_id": 1}]}))
    for end in range(len(stored)):
        with pytest.raises(Damaged):
            verify(io.BytesIO(stored[:end]))
    for more in (b"\0", stored, gzip.compress(b"")):
        with pytest.raises(Damaged, match="something follows"):
            verify(io.BytesIO(stored + more))


def test_a_bomb_does_not_fill_the_memory():
    bomb = _stored(archive({("a", "b"): [{"_id": number, "zeros": bytes(10_000_000)} for number in range(8)]}))
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    try:
        verify(io.BytesIO(bomb))
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_each_collection_is_sampled_and_large_ones_more():
    namespaces = verify(io.BytesIO(_stored())).namespaces
    picks = pick(namespaces, 100)
    assert {str(key): len(numbers) for key, numbers in picks.items()} == {"shop.orders": 99, "shop.customers": 1}
    found = verify(io.BytesIO(_stored()), picks=picks)
    assert len(found.sampled) == 100
    assert pick([], 100) == {}
    assert pick(namespaces, 0)[Key("shop", "orders")] == []


def test_an_error_of_the_dump_or_of_the_storage_comes_back():
    class Full(Sink):
        def write(self, data: bytes | memoryview) -> int:
            raise OSError("full", len(data))

    with pytest.raises(OSError, match="full"):
        write(iter([os.urandom(1 << 20)] * 20), Full())

    def broken() -> Iterator[bytes]:
        yield b"x"
        raise Damaged("there")

    with pytest.raises(Damaged, match="there"):
        write(broken(), Sink())


def test_a_difference_from_the_dump_is_named():
    one = Namespace(database="a", collection="b", documents=1, size=9, crc64="1")
    with pytest.raises(Damaged, match=r"a\.b is not what was dumped"):
        compare([one], [one.model_copy(update={"documents": 2})])
    with pytest.raises(Damaged, match=r"a\.b"):
        compare([one], [])
