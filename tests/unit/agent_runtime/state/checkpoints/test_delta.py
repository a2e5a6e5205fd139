from __future__ import annotations

import random

import pytest

from agent_runtime.state.checkpoints import delta


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "ab", [b"a", b"b"]),
        ("ab", "abc", [[0, 2], b"c"]),
        ("abc", "bc", [[1, 3]]),
        ("abcd", "abxd", [[0, 2], b"x", [3, 4]]),
        ("abc", "ab", [[0, 2]]),
        ("abc", "", []),
        ("ab", "ab", [[0, 2]]),
    ],
)
def test_what_is_there_is_not_told_again(old, new, expected):
    items = [[bytes([ord(letter)]) for letter in word] for word in (old, new)]
    assert delta.pieces(*items) == expected


@pytest.mark.parametrize("seed", range(200))
def test_pieces_make_the_new_items(seed):
    rng = random.Random(seed)  # noqa: S311 - a game, no secret
    old = [bytes([rng.randrange(8)]) for _ in range(rng.randrange(12))]
    new = [bytes([rng.randrange(8)]) for _ in range(rng.randrange(12))]
    assert list(delta.assembled(old, delta.pieces(old, new))) == new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"a": 1}),
        ({"a": 1, "b": 2}, {"b": 2}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": [1]}, {"a": [True]}),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 3}}}),
        ({"a": {"b": 1}}, {"a": 5}),
        ({"a": 5}, {"a": {}}),
        ({"a": None}, {}),
        ({}, {"a": None}),
    ],
)
def test_a_difference_makes_the_new_mapping(old, new):
    before = repr(old)
    assert repr(delta.patched(old, delta.difference(old, new))) == repr(new)
    assert repr(old) == before


@pytest.mark.parametrize("seed", range(100))
def test_differences_of_versions_make_the_new_ones(seed):
    rng = random.Random(seed)  # noqa: S311 - a game, no secret

    def versions() -> dict[str, int]:
        return {name: rng.randrange(3) for name in rng.sample("abcdef", rng.randrange(6))}

    def seen() -> dict[str, dict[str, int]]:
        return {name: versions() for name in rng.sample("xyz", rng.randrange(4))}

    old, new = versions(), versions()
    assert delta.patched(old, delta.flat_difference(old, new)) == new
    old_seen, new_seen = seen(), seen()
    assert delta.patched(old_seen, delta.deep_difference(old_seen, new_seen)) == new_seen


def test_what_did_not_change_takes_nothing():
    mapping = {"a": {"b": 1}, "c": [1, (2, "x")], "d": None}
    assert delta.difference(mapping, {**mapping}) == {}
