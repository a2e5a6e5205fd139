from __future__ import annotations

import os

import pytest
from structlog.testing import capture_logs

from agent_runtime.errors import UnreadableError
from agent_runtime.state.checkpoints.cipher import Cipher
from agent_runtime.state.checkpoints.seal import Sealer
from agent_runtime.state.vault import Vault


def vault(*keys: bytes) -> Vault:
    return Vault(Sealer(cipher=Cipher(list(keys))) if keys else None)


def test_what_a_missing_key_hides_is_told_once_for_each_key():
    old, new, other = (os.urandom(32) for _ in range(3))
    kept = vault(old).close("a word", "here")
    assert vault(new, old).open(kept, "here") == "a word"
    for poor in (vault(new), vault()):
        with capture_logs() as logs:
            for _ in range(3):
                with pytest.raises(UnreadableError, match=r"key|state\.encryption"):
                    poor.open(kept, "here")
            with pytest.raises(UnreadableError):
                poor.open(vault(other).close("another", "there"), "there")
        reasons = [line["reason"] for line in logs]
        assert len(reasons) == len(set(reasons)) == (2 if poor._sealer else 1)


@pytest.mark.parametrize("kept", [None, 3, "", "[]", "{", b""], ids=repr)
def test_what_is_no_object_is_as_one_that_has_no_key(kept):
    keys = vault(os.urandom(32))
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(UnreadableError, match="changed from outside"):
                keys.open_object(kept, "here")
    assert len(logs) == 1


def test_an_object_is_read_with_and_without_a_key():
    for one in (vault(), vault(os.urandom(32))):
        assert one.open_object(one.close('{"a": NaN, "b": 36893488147419103232}', "here"), "here")["b"] == 2**65


def test_what_was_moved_is_not_read():
    keys = vault(os.urandom(32))
    with pytest.raises(UnreadableError, match="changed or moved"):
        keys.open(keys.close("a word", "here"), "there")
