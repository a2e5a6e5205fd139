from __future__ import annotations

from datetime import datetime, timedelta, timezone
from random import Random

import pytest

from apm_operator.backup.catalogue import Catalogue, Entry, Facts
from apm_operator.backup.job import Retention
from apm_operator.backup.retention import Clocks, decide
from apm_operator.backup.storage.base import Stored
from fakes.backups import NOW, manifest, verdict

CLOCKS = Clocks(NOW, NOW)


def entry(
    name: str, days: float, *, kind: str = "tested", reading: float | None = None, modified: float | None = None
) -> Entry:
    """`kind`: tested, read, plain, bad, untestable or damaged."""
    verdicts = {
        "tested": verdict(name),
        "read": verdict(name, restored=False),
        "bad": verdict(name, good=False),
        "untestable": verdict(name, good=False).model_copy(update={"reason": "ToolFailed"}),
    }
    return Entry(
        name=name,
        modified=NOW - timedelta(days=days if modified is None else modified),
        size=10,
        keys=(f"{name}.archive.gz",),
        manifest=None if kind == "damaged" else Facts.of(manifest(name, days=days)),
        verdict=verdicts.get(kind),
        reading=None if reading is None else NOW - timedelta(days=reading),
        problem="the manifest is damaged" if kind == "damaged" else "",
    )


def gone(*entries: Entry, days: int = 30, minimum: int = 1, tested: bool = True, clocks: Clocks = CLOCKS) -> list[str]:
    oldest_first = sorted(entries, key=lambda each: each.manifest.started if each.manifest else each.modified)
    found = decide(Catalogue(tuple(oldest_first)), Retention(days=days, minimum=minimum), clocks, tested=tested)
    return [each.name for each in found]


def test_what_is_older_than_its_days_goes():
    assert gone(entry("a", 31), entry("b", 30.1), entry("c", 30), entry("d", 1)) == ["a", "b"]


@pytest.mark.parametrize(
    ("entries", "minimum", "expected"),
    [
        ([], 1, []),
        ([entry("a", 90)], 1, []),
        ([entry("a", 90), entry("b", 60)], 1, ["a"]),
        ([entry("a", 90), entry("b", 60)], 0, ["a"]),
        ([entry("a", 90), entry("b", 60), entry("c", 45)], 2, ["a"]),
        ([entry("a", 90), entry("b", 1, kind="bad")], 1, []),
        ([entry("a", 90), entry("b", 2, kind="bad")], 1, ["b"]),
        ([entry("a", 90), entry("b", 2, kind="untestable")], 1, []),
        ([entry("a", 90), entry("b", 31, kind="untestable")], 1, ["b"]),
        ([entry("a", 90), entry("b", 60, kind="plain")], 1, ["b"]),
        ([entry("a", 90), entry("b", 2, kind="plain")], 1, []),
        ([entry("a", 90), entry("b", 80, kind="plain"), entry("c", 70, kind="read")], 2, ["b"]),
        ([entry("a", 90, kind="plain"), entry("b", 80, kind="plain")], 1, ["a"]),
        ([entry("a", 90, kind="bad"), entry("b", 80, kind="bad")], 1, ["a"]),
        ([entry("a", 90, kind="bad"), entry("b", 80, kind="damaged")], 1, ["b"]),
        ([entry("a", 90, kind="damaged")], 1, []),
        ([entry("a", 20, kind="damaged"), entry("b", 1)], 1, []),
        ([entry("a", 90, kind="damaged"), entry("b", 40)], 1, ["a"]),
    ],
)
def test_the_last_good_ones_stay(entries, minimum, expected):
    assert gone(*entries, minimum=minimum) == expected


def test_without_a_restore_test_what_was_read_back_counts():
    entries = entry("a", 90), entry("b", 60, kind="plain")
    assert gone(*entries, tested=True) == ["b"]
    assert gone(*entries, tested=False) == ["a"]


def test_what_a_restore_reads_stays():
    assert gone(entry("a", 90, reading=0.1), entry("b", 1)) == []
    assert gone(entry("a", 90, kind="bad", reading=6.9), entry("b", 1)) == []


def test_the_mark_of_a_restore_that_died_does_not_stay_for_ever():
    assert gone(entry("a", 90, reading=7.1), entry("b", 1)) == ["a"]


@pytest.mark.parametrize(
    "clocks",
    [
        Clocks(NOW + timedelta(days=400), NOW),
        Clocks(NOW, NOW + timedelta(days=400)),
        Clocks(NOW - timedelta(days=400), NOW - timedelta(days=400)),
    ],
)
def test_one_wrong_clock_deletes_nothing(clocks):
    assert gone(entry("a", 29), entry("b", 2), entry("c", 1), clocks=clocks) == []


def test_a_copied_bucket_is_as_young_as_the_copy():
    assert gone(entry("a", 90, modified=1), entry("b", 60, modified=1), entry("c", 50, modified=1)) == []


@pytest.mark.parametrize("hours", [-11, 0, 5.75, 14])
def test_the_zone_does_not_matter(hours):
    zone = timezone(timedelta(hours=hours))
    elsewhere = Clocks(NOW.astimezone(zone), NOW.astimezone(zone))
    entries = entry("a", 30.01), entry("b", 29.99), entry("c", 1)
    assert gone(*entries, clocks=elsewhere) == gone(*entries) == ["a"]


def test_leftovers_go_after_a_day():
    def left(key: str, hours: float, *, pending: bool = True) -> Stored:
        return Stored(key, 5, NOW - timedelta(hours=hours), pending=pending)

    leftovers = left("a.archive.gz", 23.9), left("b.archive.gz", 24.1), left("c.archive.gz", 25, pending=False)
    found = decide(Catalogue((), leftovers), Retention(days=30), CLOCKS, tested=True)
    assert [each.name for each in found] == ["b.archive.gz", "c.archive.gz"]
    assert {each.why for each in found} == {"left by a Job that did not end well"}


def test_whatever_lies_there():
    """What is promised holds for 3,000 storages at random."""
    dice = Random(7)  # noqa: S311 - not for secrets
    kinds = ["tested", "read", "plain", "bad", "damaged"]
    for _ in range(3000):
        entries = [
            entry(
                f"n{number}",
                dice.choice([0.5, 2, 10, 29.9, 30.1, 60]) + number / 1000,
                kind=dice.choice(kinds),
                reading=dice.choice([None, None, None, 0.5, 8]),
            )
            for number in range(dice.randrange(8))
        ]
        minimum, tested = dice.randrange(1, 4), dice.random() < 0.5
        removed = set(gone(*entries, minimum=minimum, tested=tested))
        verified = [each for each in entries if each.verified(tested=tested)]
        left = [each for each in verified if each.name not in removed]
        assert len(left) >= min(minimum, len(verified))
        good = [each for each in entries if each.good]
        assert len([each for each in good if each.name not in removed]) >= min(minimum, len(good))
        assert not entries or len(removed) < len(entries)
        for each in entries:
            age = CLOCKS.age(each)
            pinned = each.reading is not None and each.reading > NOW - timedelta(days=7)
            young = age <= timedelta(days=30) and (each.verdict is None or each.verdict.good)
            assert each.name not in removed or not (pinned or young or age <= timedelta(days=1))


def test_dst_changes_nothing():
    spring = datetime(2026, 3, 29, 1, 30, tzinfo=NOW.tzinfo)
    clocks = Clocks(spring, spring)
    assert gone(entry("a", 30.1), entry("b", 1), clocks=clocks) == ["a"]
