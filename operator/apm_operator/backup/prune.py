"""Removes what the retention keeps no longer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from apm_operator.backup import catalogue, layout
from apm_operator.backup.catalogue import Catalogue, Entry
from apm_operator.backup.job import Retention
from apm_operator.backup.report import StoreFacts
from apm_operator.backup.retention import Clocks, Removal, decide
from apm_operator.backup.storage.base import Storage

TOLD = 20
"""Removed names that a report can hold."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or would have gone, and what lies there afterwards."""

    removals: tuple[Removal, ...]
    facts: StoreFacts


def prune(storage: Storage, retention: Retention, *, tested: bool, dry_run: bool = False) -> Pruned:
    """Remove what goes; with `dry_run` only say it. The caller holds the storage's Lease.

    Raises:
        StorageError: something could not be removed; what was to go later is still there.
    """
    found = catalogue.read(storage)
    clocks = Clocks(datetime.now(UTC), storage.now())
    removals = decide(found, retention, clocks, tested=tested)
    if not dry_run:
        for each in removals:
            if isinstance(each.what, Entry):
                remove_entry(storage, each.what)
            else:
                storage.remove(each.what.key, pending=each.what.pending)
    return Pruned(removals, facts(found, removals if not dry_run else (), tested=tested))


def remove_entry(storage: Storage, entry: Entry) -> None:
    """The manifest first: a crash leaves data that the next run sweeps, never a backup that has none."""
    storage.remove(layout.manifest_key(entry.name))
    for key in entry.keys:
        storage.remove(key)


def facts(found: Catalogue, removals: tuple[Removal, ...] = (), *, tested: bool) -> StoreFacts:
    """What lies in the storage, but for what was removed."""
    gone = {each.name for each in removals}
    left = [each for each in found.entries if each.name not in gone]
    whole = [each.manifest.started for each in left if each.manifest is not None and not each.problem]
    verified = [each.manifest.started for each in left if each.manifest and each.verified(tested=tested)]
    return StoreFacts(
        backups=len(left),
        verified=len(verified),
        size=sum(each.size for each in left) + sum(each.size for each in found.leftovers if each.key not in gone),
        oldest=min(whole, default=None),
        newest=max(whole, default=None),
        newest_verified=max(verified, default=None),
        removed=tuple(each.name for each in removals)[:TOLD],
    )
