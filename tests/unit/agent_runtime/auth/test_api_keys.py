from __future__ import annotations

from agent_runtime.auth.api_keys import APIKeys
from agent_runtime.auth.principal import Principal
from fakes.authority import swap

FIRST, SECOND, THIRD = ("first-key-of-a-caller", "second-key-of-a-caller", "third-key-of-a-caller")


def test_the_key_tells_the_caller(tmp_path):
    swap(tmp_path / "keys", {"alice": f"{FIRST}\n", "bob": SECOND})
    keys = APIKeys(tmp_path / "keys")
    assert keys.principal(FIRST) == Principal("alice", "", "apiKey")
    assert keys.principal(SECOND) == Principal("bob", "", "apiKey")
    assert keys.principal(THIRD) is None
    assert keys.principal(FIRST[:-1]) is None
    assert keys.principal("") is None


def test_a_new_value_counts_at_once_and_the_old_one_no_more(tmp_path):
    swap(tmp_path / "keys", {"alice": FIRST})
    keys = APIKeys(tmp_path / "keys")
    assert keys.principal(FIRST)
    swap(tmp_path / "keys", {"alice": SECOND, "bob": THIRD})
    assert keys.principal(FIRST) is None
    assert keys.principal(SECOND) == Principal("alice", "", "apiKey")
    swap(tmp_path / "keys", {"bob": THIRD})
    assert keys.principal(SECOND) is None


def test_a_short_or_empty_key_lets_nobody_in(tmp_path):
    swap(tmp_path / "keys", {"alice": "", "bob": "fifteen-letters"})
    keys = APIKeys(tmp_path / "keys")
    assert keys.principal("") is None
    assert keys.principal("fifteen-letters") is None


def test_a_folder_that_is_not_there_lets_nobody_in(tmp_path):
    assert APIKeys(tmp_path / "keys").principal(FIRST) is None


def test_the_kubelets_own_folders_are_no_callers(tmp_path):
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "alice").write_text(FIRST)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "alice").symlink_to("..data/alice")
    assert APIKeys(tmp_path).principal(FIRST) == Principal("alice", "", "apiKey")
