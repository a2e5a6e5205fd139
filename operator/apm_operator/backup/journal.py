"""What a Restore is doing to a target, written down in the target: the next pod of it goes on from there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

from pymongo.collection import Collection as PyMongoCollection

from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.base import Model
from apm_operator.backup.errors import LeaseLost
from apm_operator.backup.mongo import Client
from apm_operator.backup.report import RestoreFacts
from apm_operator.backup.scope import RESERVED

COLLECTION = RESERVED + "journal"


class Move(Model):
    """A collection on its way to its place.

    Attributes:
        database: of the target; all names are within it.
        name: its place.
        source: of the backup (`database`, `collection`); None: the backup has no such collection, so it goes.
        staged: where it is restored to first; its place, if it can't be renamed.
        old: where what is in its place now goes.
        there: what is in its place: nothing, something that can be renamed, or a view.
        old_view: definition of the view that is in its place (canonical extended JSON).
        new_view: likewise, that comes there.
    """

    database: str
    name: str
    source: tuple[str, str] | None = None
    staged: str
    old: str
    there: Literal["nothing", "collection", "view"] = "nothing"
    old_view: dict[str, Any] | None = None
    new_view: dict[str, Any] | None = None

    @property
    def place(self) -> Key:
        """Where it belongs."""
        return Key(self.database, self.name)

    @property
    def in_place(self) -> bool:
        """Whether it is restored without being staged: a time series, which can't be renamed."""
        return self.source is not None and self.staged == self.name


class Journal(Model):
    """One try of a Restore.

    Attributes:
        id: the Restore's.
        attempt: unlike that of any other try: one that is not quite dead yet writes elsewhere.
        phase: `Staging`: what was there is untouched; `Swapping`: all is restored and compared, and the new data are
            to win; `Tidying`: they have won.
        facts: what was restored, once it was.
    """

    id: str
    attempt: str
    phase: Literal["Staging", "Swapping", "Tidying"] = "Staging"
    moves: tuple[Move, ...]
    facts: RestoreFacts | None = None

    @property
    def databases(self) -> list[str]:
        """Of the target; in the first one lies the journal."""
        return sorted({move.database for move in self.moves})


def prefix(restore: str) -> str:
    """How the collections of a Restore begin: short, since MongoDB's names are limited."""
    return f"{RESERVED}{hashlib.sha256(restore.encode()).hexdigest()[:8]}_"


def find(client: Client, restore: str) -> Journal | None:
    """The journal of a Restore, wherever it lies: a later try may choose another backup, of other databases."""
    for database in client.list_database_names():
        found = client[database][COLLECTION].find_one({"_id": restore})
        if found:
            return Journal.model_validate_json(found["journal"])
    return None


def others(client: Client, databases: Iterable[str], restore: str) -> list[Journal]:
    """Journals of Restores that nobody goes on with."""
    return [
        Journal.model_validate_json(each["journal"])
        for database in databases
        for each in client[database][COLLECTION].find({"_id": {"$ne": restore}})
    ]


def begin(client: Client, journal: Journal) -> None:
    """Write it down, in place of that of an earlier try."""
    _entries(client, journal).replace_one({"_id": journal.id}, _document(journal), upsert=True)


def advance(client: Client, journal: Journal, phase: Literal["Swapping", "Tidying"]) -> Journal:
    """Write down the next phase.

    Raises:
        LeaseLost: a later try has begun meanwhile.
    """
    later = journal.model_copy(update={"phase": phase})
    mine = {"_id": journal.id, "attempt": journal.attempt}
    if _entries(client, journal).replace_one(mine, _document(later)).matched_count != 1:
        raise LeaseLost("another pod of this Restore has begun anew meanwhile")
    return later


def end(client: Client, journal: Journal) -> None:
    """Forget it."""
    entries = _entries(client, journal)
    entries.delete_one({"_id": journal.id, "attempt": journal.attempt})
    if entries.find_one({}) is None:
        entries.drop()


def _entries(client: Client, journal: Journal) -> PyMongoCollection[dict[str, Any]]:
    return client[journal.databases[0]][COLLECTION]


def _document(journal: Journal) -> dict[str, Any]:
    # As text: the definition of a view has fields that begin with $.
    return {"_id": journal.id, "attempt": journal.attempt, "phase": journal.phase, "journal": journal.to_json()}
