"""What a Restore has done, kept in the storage: a pod that comes after its end does not restore again.

The node that ran it may have died before its report got out, and the target may have been written to since.
"""

from __future__ import annotations

from pydantic import ValidationError

from apm_operator.backup import layout
from apm_operator.backup.errors import Damaged, StorageAway, StorageError
from apm_operator.backup.report import RestoreFacts
from apm_operator.backup.storage.base import Storage


def find(storage: Storage, restore: str) -> RestoreFacts | None:
    """What it has done; None where it has not ended, or the storage keeps nothing for it.

    Raises:
        StorageAway: nobody can tell now.
        Damaged: it has ended, but what is kept of that can't be read.
    """
    try:
        text = storage.get(layout.outcome_key(restore))
    except StorageAway:
        raise
    except StorageError:
        return None  # a bucket that may not be listed refuses what it does not have
    try:
        return RestoreFacts.model_validate_json(text)
    except ValidationError:
        raise Damaged(
            "this Restore has ended already, but what it did is not readable any more: look at the target"
        ) from None


def keep(storage: Storage, restore: str, facts: RestoreFacts) -> bool:
    """Keep it, until a backup's Job sweeps it after a day; False where the storage takes nothing."""
    try:
        storage.put(layout.outcome_key(restore), facts.to_json().encode(), replace=True)
    except StorageError:
        return False
    return True
