"""Removes backups that somebody no longer wants, whatever the retention says."""

from __future__ import annotations

from collections.abc import Collection

from apm_operator.backup import catalogue, layout
from apm_operator.backup.errors import LeaseBusy
from apm_operator.backup.prune import remove_entry
from apm_operator.backup.retention import PINNED
from apm_operator.backup.storage.base import Storage


def remove(storage: Storage, names: Collection[str], kept: Collection[str] = ()) -> tuple[str, ...]:
    """Remove the backups of these names with all that belongs to them, or everything but what is `kept`.

    What is gone already is no error. The caller holds the storage's Lease.

    Returns:
        Names of what was there.

    Raises:
        LeaseBusy: a Restore reads one of them; nothing was removed.
        StorageError: something could not be removed.
    """
    found = catalogue.read(storage)
    wanted = [each for each in found.entries if _goes(each.name, names, kept)]
    now = storage.now()
    read = [each.name for each in wanted if each.reading is not None and now - each.reading < PINNED]
    if read:
        raise LeaseBusy(f"a Restore reads {read[0]}: remove it afterwards (or its mark {layout.reading_key(read[0])})")
    for each in wanted:
        remove_entry(storage, each)
    for left in found.leftovers:
        if _goes(layout.owner(left.key), names, kept):
            storage.remove(left.key, pending=left.pending)
    return tuple(each.name for each in wanted)


def _goes(name: str | None, names: Collection[str], kept: Collection[str]) -> bool:
    return name in names if names else name not in kept
