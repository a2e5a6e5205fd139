"""What a Restore is doing to a target, written down in the target: the next pod of it goes on from there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import ValidationError
from pymongo.collection import Collection as PyMongoCollection
from pymongo.errors import OperationFailure

from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.base import Model
from apm_operator.backup.errors import ConfigError, LeaseLost
from apm_operator.backup.mongo import Client
from apm_operator.backup.report import RestoreFacts
from apm_operator.backup.scope import OWN, RESERVED

COLLECTION = RESERVED + "journal"
Phase = Literal["Staging", "Swapping", "Undoing", "Tidying", "Done"]


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
            to win; `Undoing`: they could not, and what was there comes back; `Tidying`: they have won; `Done`: all is
            over, and the storage takes nothing that could tell it.
        facts: what was restored, once it was.
    """

    id: str
    attempt: str
    phase: Phase = "Staging"
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
        if database in OWN:  # where readWriteAnyDatabase gives no right to look
            continue
        found = _looked_up(client, database, restore)
        if found:
            return _read(found, database)
    return None


def _looked_up(client: Client, database: str, restore: str) -> Mapping[str, Any] | None:
    try:
        return client[database][COLLECTION].find_one({"_id": restore})
    except OperationFailure:
        # FerretDB fails where somebody else drops the database in this moment; what is gone holds no journal.
        if database in client.list_database_names():
            raise
        return None


def others(client: Client, databases: Iterable[str], restore: str) -> list[Journal]:
    """Journals of Restores that nobody goes on with.

    Who may write to one of the databases can write a journal, too: it is heard of nothing beyond `databases`.

    Raises:
        ConfigError: one is of other databases as well, or is none.
    """
    within = set(databases)
    found = [
        _read(each, database)
        for database in sorted(within)
        for each in client[database][COLLECTION].find({"_id": {"$ne": restore}})
    ]
    for each in found:
        beyond = set(each.databases) - within
        if beyond and each.phase != "Done":
            raise ConfigError(
                f"{each.databases[0]}.{COLLECTION} has the journal of a Restore that has not ended, which is of "
                f"{', '.join(sorted(beyond))} as well: restore these too, or drop that collection if there was none"
            )
    return found


def begin(client: Client, journal: Journal) -> None:
    """Write it down, in place of that of an earlier try."""
    _entries(client, journal).replace_one({"_id": journal.id}, _document(journal), upsert=True)


def advance(client: Client, journal: Journal, phase: Phase) -> Journal:
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


def _read(entry: Mapping[str, Any], database: str) -> Journal:
    """A journal as it lies in a database."""
    try:
        found = Journal.model_validate_json(entry["journal"])
    except (KeyError, ValidationError):
        found = None
    if found is None or found.id != entry["_id"] or not found.moves or found.databases[0] != database:
        raise ConfigError(f"{database}.{COLLECTION} holds something that is no journal of a Restore: drop it")
    return found


def _entries(client: Client, journal: Journal) -> PyMongoCollection[dict[str, Any]]:
    return client[journal.databases[0]][COLLECTION]


def _document(journal: Journal) -> dict[str, Any]:
    # As text: the definition of a view has fields that begin with $.
    return {"_id": journal.id, "attempt": journal.attempt, "phase": journal.phase, "journal": journal.to_json()}
