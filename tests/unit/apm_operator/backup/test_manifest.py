from __future__ import annotations

from random import Random

import pytest
from pydantic import ValidationError

from apm_operator.backup.manifest import Manifest, Verdict
from fakes.backups import manifest, verdict


def test_what_is_written_can_be_read():
    assert Manifest.model_validate_json(manifest("n1").to_json()) == manifest("n1")
    assert Verdict.model_validate_json(verdict("n1").to_json()) == verdict("n1")


@pytest.mark.parametrize("written", [manifest("n1"), verdict("n1", good=False)], ids=["manifest", "verdict"])
def test_every_flipped_bit_is_found_or_changes_nothing(written):
    """All of them: bits that only change the case of a digit's escape, or a space, change nothing."""
    text = written.to_json().encode()
    for place in range(len(text) * 8):
        flipped = bytearray(text)
        flipped[place // 8] ^= 1 << place % 8
        try:
            assert type(written).model_validate_json(bytes(flipped)) == written
        except ValidationError:
            continue


def test_random_cuts_are_found():
    text = manifest("n1").to_json()
    dice = Random(3)  # noqa: S311 - not for secrets
    for _ in range(100):
        with pytest.raises(ValidationError):
            Manifest.model_validate_json(text[: dice.randrange(len(text))])


def test_without_a_checksum_it_is_none():
    with pytest.raises(ValidationError, match="checksum"):
        Manifest.model_validate_json(manifest("n1").model_dump_json(by_alias=True))
