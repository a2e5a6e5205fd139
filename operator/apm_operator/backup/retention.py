"""Which backups go and why: a function of what lies in the storage, and of nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from apm_operator.backup.catalogue import Catalogue, Entry
from apm_operator.backup.job import Retention
from apm_operator.backup.storage.base import Stored
from apm_operator.backup.verdict import proves_nothing

SWEPT = timedelta(days=1)
"""Age at which leftovers and backups that failed their restore test go."""
PINNED = timedelta(days=7)
"""Age at which the mark of a Restore that never removed it counts no longer."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Now, by the clock of this Job and by that of the storage: what one of them calls young is young."""

    here: datetime
    storage: datetime

    def age(self, entry: Entry) -> timedelta:
        """Of a backup."""
        ages = [self.storage - entry.modified]
        if entry.manifest is not None:
            ages.append(self.here - entry.manifest.finished)
        return min(ages)


@dataclass(frozen=True, slots=True)
class Removal:
    """Something that goes: a backup with all that belongs to it, or a leftover."""

    what: Entry | Stored
    why: str

    @property
    def name(self) -> str:
        """Of the backup, or the key of the leftover."""
        return self.what.name if isinstance(self.what, Entry) else self.what.key


def decide(catalogue: Catalogue, retention: Retention, clocks: Clocks, *, tested: bool) -> tuple[Removal, ...]:
    """What goes, the oldest first.

    The newest `minimum` verified backups stay, whatever their age; where there are fewer, the newest that nothing
    speaks against stay in the place of what is missing, and where there are none, the newest of those that are left.

    Args:
        catalogue: what lies in the storage.
        retention: what the policy says.
        clocks: what time it is.
        tested: whether only what was restored for a test counts as verified.
    """
    kept = _kept(catalogue.entries, max(1, retention.minimum), tested=tested)
    removals = []
    for entry in catalogue.entries:
        if entry.name in kept or _pinned(entry, clocks):
            continue
        why = _why(entry, retention, clocks.age(entry))
        if why:
            removals.append(Removal(entry, why))
    old = (each for each in catalogue.leftovers if clocks.storage - each.modified > SWEPT)
    return (*removals, *(Removal(each, "left by a Job that did not end well") for each in old))


def _kept(entries: tuple[Entry, ...], minimum: int, *, tested: bool) -> frozenset[str]:
    """The newest come last in `entries`; the sorting is stable, and what counts most comes last, too."""

    def rank(entry: Entry) -> int:
        return 3 if entry.verified(tested=tested) else 2 if entry.good else 1 if not entry.problem else 0

    ranked = sorted(entries, key=rank)[::-1]
    enough = [each for each in ranked if rank(each) >= 2][:minimum]  # noqa: PLR2004 - good, by the ranks above
    return frozenset(each.name for each in enough or ranked[:1])


def _pinned(entry: Entry, clocks: Clocks) -> bool:
    return entry.reading is not None and clocks.storage - entry.reading < PINNED


def _why(entry: Entry, retention: Retention, age: timedelta) -> str:
    if age > timedelta(days=retention.days):
        return f"older than {retention.days} days"
    verdict = entry.verdict
    if verdict is not None and not verdict.good and not proves_nothing(verdict) and age > SWEPT:
        return f"failed its test: {verdict.reason or 'no reason given'}"
    return ""
