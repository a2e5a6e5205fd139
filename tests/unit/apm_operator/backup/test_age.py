from __future__ import annotations

import io
import threading
from random import Random
from typing import TYPE_CHECKING

import pyrage
import pytest
from pyrage import x25519

from apm_operator.backup import age
from apm_operator.backup.errors import ConfigError, Damaged, KeyMissing, StorageFull

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = x25519.Identity.generate()
OTHER = x25519.Identity.generate()
DATA = Random(1).randbytes(300_000)  # noqa: S311 - nothing secret


def encrypted(data: bytes = DATA, *keys: str) -> bytes:
    out: list[bytes] = []
    encryptor = age.Encryptor(out.append, keys or [str(IDENTITY.to_public())])
    for start in range(0, len(data), 70_001):
        encryptor.write(memoryview(data)[start : start + 70_001])
    encryptor.close()
    return b"".join(out)


def decrypted(data: bytes, identity: x25519.Identity = IDENTITY) -> bytes:
    with age.decrypting(io.BytesIO(data), [identity]) as source:
        return b"".join(iter(lambda: source.read(10_000), b""))


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 300_000])
def test_what_goes_in_comes_out(size):
    stored = encrypted(DATA[:size])
    assert DATA[:16] not in stored or size < 16
    assert decrypted(stored) == DATA[:size]
    assert pyrage.decrypt(stored, [IDENTITY]) == DATA[:size]


def test_each_recipient_opens_it():
    stored = encrypted(DATA, str(IDENTITY.to_public()), str(OTHER.to_public()))
    assert decrypted(stored) == decrypted(stored, OTHER) == DATA


def test_a_wrong_key():
    with pytest.raises(KeyMissing, match="none of the age identities"):
        decrypted(encrypted(), OTHER)


@pytest.mark.parametrize("length", [0, 10, 100, 250, 66_000, 65_872, -1])
def test_cut_off(length):
    with pytest.raises(Damaged, match="damaged or cut off"):
        decrypted(encrypted()[:length])


def test_any_flipped_bit_is_found():
    stored = encrypted()
    places = Random(2)  # noqa: S311 - likewise
    for _ in range(100):
        broken = bytearray(stored)
        broken[places.randrange(len(stored))] ^= 1 << places.randrange(8)
        with pytest.raises((Damaged, KeyMissing)):
            decrypted(bytes(broken))


def test_what_is_appended_is_found():
    with pytest.raises(Damaged):
        decrypted(encrypted() + b"x")


def test_an_error_behind_comes_back_as_it_was():
    def full(_data: bytes) -> None:
        raise StorageFull("no space")

    encryptor = age.Encryptor(full, [str(IDENTITY.to_public())])
    with pytest.raises(StorageFull, match="no space"):
        encryptor.write(DATA * 100)
    with pytest.raises(StorageFull, match="no space"):
        encryptor.close()
    encryptor.abort()


def test_an_error_of_the_source_comes_back_as_it_was():
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 100_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with pytest.raises(OSError, match="Input/output"), age.decrypting(Broken(encrypted()), [IDENTITY]) as source:
        source.read(1 << 20)


def test_what_is_given_up_is_not_whole():
    before = threading.active_count()
    out: list[bytes] = []
    encryptor = age.Encryptor(out.append, [str(IDENTITY.to_public())])
    encryptor.write(DATA)
    encryptor.abort()
    with pytest.raises(Damaged):
        decrypted(b"".join(out))
    assert threading.active_count() == before


def test_a_reader_may_leave_early():
    before = threading.active_count()
    with age.decrypting(io.BytesIO(encrypted(bytes(5_000_000))), [IDENTITY]) as source:
        assert source.read(10) == bytes(10)
    assert threading.active_count() == before


@pytest.mark.parametrize("keys", [[], ["age1nothing"], ["ssh-ed25519 AAAA"], [""]])
def test_wrong_recipients(keys):
    with pytest.raises(ConfigError, match="recipient"):
        age.Encryptor(print, keys)


def test_identities_of_a_file(tmp_path: Path):
    file = tmp_path / "identity"
    file.write_text(f"# created: today\n# public key: age1\n{IDENTITY}\n\n  {OTHER}\n")
    assert [str(each) for each in age.identities(file)] == [str(IDENTITY), str(OTHER)]


@pytest.mark.parametrize("text", ["AGE-SECRET-KEY-1WRONG\n", "# nothing\n", "", "\xff\n"])
def test_wrong_identities_are_never_shown(tmp_path: Path, text):
    file = tmp_path / "identity"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match="identit") as error:
        age.identities(file)
    assert "WRONG" not in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_a_missing_file_of_identities(tmp_path: Path):
    with pytest.raises(ConfigError, match="can't read the age identities in identity"):
        age.identities(tmp_path / "identity")
