"""Objects that are known to be gone, so that nothing older brings them back."""

from __future__ import annotations


class Tombstones:
    """Uids of objects whose deletion was seen.

    A list, or the answer to a write, may have been made before the deletion and be read after it; no event would ever
    say again that the object is gone. No uid is given twice.
    """

    def __init__(self) -> None:
        self._new: set[str] = set()
        self._old: set[str] = set()

    def __contains__(self, uid: str) -> bool:
        return uid in self._new or uid in self._old

    def add(self, uid: str) -> None:
        """The object with this uid was deleted."""
        self._new.add(uid)

    def turn(self) -> None:
        """Keep what was added since the last turn, and forget what is older."""
        self._old, self._new = self._new, set()
