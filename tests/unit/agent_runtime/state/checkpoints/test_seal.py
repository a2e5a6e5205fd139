from __future__ import annotations

import os
from base64 import b64encode

import pytest

from agent_runtime.errors import StateLostError, UnavailableError
from agent_runtime.state.checkpoints.cipher import Cipher
from agent_runtime.state.checkpoints.seal import Sealer

ONE, OTHER = (b64encode(os.urandom(32)).decode() for _ in range(2))
TEXT = b"the same words " * 1000


@pytest.mark.parametrize("cipher", [None, Cipher.of(ONE)])
@pytest.mark.parametrize("data", [b"", b"x", TEXT, os.urandom(5000)])
def test_what_was_sealed_can_be_opened(cipher, data):
    sealer = Sealer(100, cipher)
    assert sealer.open(sealer.seal(data, "here"), "here") == data


def test_long_text_is_compressed_above_the_limit():
    assert len(Sealer(100).seal(TEXT, "")) < 200
    assert len(Sealer(1 << 20).seal(TEXT, "")) == len(TEXT) + 1


def test_encrypted_bytes_say_nothing_and_stay_where_they_are():
    sealer = Sealer(1 << 20, Cipher.of(ONE))
    sealed = sealer.seal(TEXT, "here")
    assert b"words" not in sealed
    assert sealer.seal(TEXT, "here") != sealed
    for changed, place in ((sealed, "there"), (sealed[:-1] + bytes([sealed[-1] ^ 1]), "here")):
        with pytest.raises(StateLostError, match="changed or moved"):
            sealer.open(changed, place)


def test_all_keys_open_and_the_first_one_seals():
    old = Sealer(0, Cipher.of(ONE)).seal(TEXT, "here")
    both = Sealer(0, Cipher.of(f"{OTHER}\n{ONE}\n"))
    assert both.open(old, "here") == TEXT
    new = both.seal(TEXT, "here")
    assert Sealer(0, Cipher.of(OTHER)).open(new, "here") == TEXT
    for lacking in (Cipher.of(ONE), None):
        with pytest.raises(UnavailableError, match="encrypted"):
            Sealer(0, lacking).open(new, "here")
