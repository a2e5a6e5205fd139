"""The Job of a Restore: verify, restore beside, compare, swap."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import PyMongoError

from apm_operator.backup import journal as journals
from apm_operator.backup import layout, load, mongo, outcome, swap
from apm_operator.backup.archive.prelude import OPLOG, Key
from apm_operator.backup.archive.reader import Reader
from apm_operator.backup.catalogue import newest_verified
from apm_operator.backup.errors import ConfigError, KeyMissing, StorageError, TargetNotEmpty
from apm_operator.backup.job import Mongo, RestoreJob
from apm_operator.backup.journal import Journal
from apm_operator.backup.manifest import Manifest, Namespace
from apm_operator.backup.mongorestore import PATIENCE, PROGRAM
from apm_operator.backup.report import Report, RestoreFacts, Tell
from apm_operator.backup.scope import OWN, RESERVED, Selection
from apm_operator.backup.storage.base import Storage
from apm_operator.backup.stored import read_manifest
from apm_operator.backup.verify import check, chunks, verify


def silent(_phase: str, _documents: int, _bytes: int, _percent: int | None) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a Restore works with.

    Attributes:
        identities: age's private keys, where the backup may be encrypted.
        program: mongorestore.
        patience: seconds that the target may be away.
    """

    storage: Storage
    identities: list[Any] | None = None
    tell: Tell = silent
    program: str = PROGRAM
    patience: float = PATIENCE


def restore(job: RestoreJob, means: Means) -> RestoreFacts:
    """Do it, or go on with what an earlier pod of the same Restore has begun; once it has ended, only tell it.

    When it fails, the target is as it was, but where MongoDB was lost in the middle of the swap: the next try ends it.

    Raises:
        BackupError: the message says what to do.
    """
    began = time.monotonic()
    with mongo.connected(job.target, wait=min(mongo.SERVER_WAIT, means.patience)) as client:
        mine = journals.find(client, job.id)
        if mine is None and (done := outcome.find(means.storage, job.id)) is not None:
            return done
        if mine is None or mine.phase in {"Staging", "Undoing"}:
            if mine is not None:
                _give_up(client, mine)
            name = job.name or newest_verified(means.storage)
            with _reading(means.storage, name):
                mine = _stage(job, means, client, read_manifest(means.storage, name))
        return _finish(client, mine, means, began)


def _finish(client: mongo.Client, mine: Journal, means: Means, began: float) -> RestoreFacts:
    """From `Swapping` on; until the storage has what was done, the journal stays to tell it."""
    assert mine.facts is not None  # noqa: S101 - it was staged
    if mine.phase == "Done":
        return mine.facts
    _swap(client, mine, means.tell)
    facts = mine.facts.model_copy(update={"seconds": round(time.monotonic() - began, 3)})
    swap.tidy(client, mine.id, mine.databases)
    if outcome.keep(means.storage, mine.id, facts):
        journals.end(client, mine)
    else:
        journals.advance(client, mine.model_copy(update={"facts": facts}), "Done")
    return facts


def report(job: RestoreJob, means: Means) -> Report:
    """Do it, and say so.

    Raises:
        BackupError: as `restore`.
    """
    facts = restore(job, means)
    message = f"{facts.documents} documents of {facts.collections} collections are restored from {facts.name}"
    return Report(result="Succeeded", reason="Completed", message=message, restore=facts)


def selected(manifest: Manifest, job: RestoreJob) -> list[tuple[Namespace, Key]]:
    """What is to be restored, and where it belongs.

    Raises:
        ConfigError: something is named that the backup does not have, or two databases are to become one.
    """
    offered = {
        Key(each.database, each.collection): each
        for each in manifest.namespaces
        if each.database not in OWN
        and each.database != OPLOG.database
        and not each.collection.startswith(("system.", RESERVED))
    }
    selection = Selection(job.scope)
    missing = selection.missing(offered) + [it.source for it in job.renames if it.source not in _databases(offered)]
    if missing:
        raise ConfigError(f"the backup {manifest.name} does not have {', '.join(missing)}")
    chosen = [key for key in offered if key in selection]
    if not chosen:
        raise ConfigError(f"the backup {manifest.name} has nothing of what is chosen")
    renames = {it.source: it.target for it in job.renames}
    databases = {name: renames.get(name, name) for name in _databases(chosen)}
    if len(set(databases.values())) < len(databases):
        raise ConfigError("two databases of the backup would become one: give each a name of its own")
    refused = OWN & set(databases.values())
    if refused:
        raise ConfigError(f"{', '.join(sorted(refused))} is MongoDB's own: choose another name for the database")
    return [(offered[key], Key(databases[key.database], key.collection)) for key in chosen]


def _databases(keys: Sequence[Key] | dict[Key, Namespace]) -> set[str]:
    return {key.database for key in keys}


def _stage(job: RestoreJob, means: Means, client: mongo.Client, manifest: Manifest) -> Journal:
    """Restore beside what is there, and commit to the new data."""
    wanted = selected(manifest, job)
    _verify(means, manifest)
    databases = sorted({place.database for _, place in wanted})
    for other in journals.others(client, databases, job.id):
        if other.phase == "Swapping" and not job.replace:
            raise TargetNotEmpty(
                f"a Restore ended in the middle of its swap in {', '.join(other.databases)}: one with mode: Replace "
                "brings that to its end first"
            )
        _end_other(client, other, means)
    there = _there(client, databases)
    # What a Scope leaves out is never removed from a target.
    scopes = [Selection(manifest.scope), Selection(job.scope)]
    whole = {place.database for it, place in wanted if all(scope.whole(it.database) for scope in scopes)}
    places = {place for _, place in wanted}
    if not job.replace:
        _check_empty(client, there, whole, places)
    attempt = secrets.token_hex(2)
    moves = swap.plan(wanted, job.id, attempt, there, whole)
    swap.check(client, job.id, moves)
    mine = Journal(id=job.id, attempt=attempt, moves=moves)
    journals.begin(client, mine)
    try:
        facts = _load(job.target, means, client, manifest=manifest, mine=mine, wanted=wanted)
        if not job.replace:  # it has taken its time, and nobody kept the agents from writing
            made = {move.place for move in moves if move.in_place}
            there = [it for it in _there(client, databases) if it.key not in made]
            _check_empty(client, there, whole, places)
        return journals.advance(client, mine.model_copy(update={"facts": facts}), "Swapping")
    except BaseException:
        with suppress(PyMongoError):
            _forget(client, mine)
        raise


def _load(
    target: Mongo,
    means: Means,
    client: mongo.Client,
    *,
    manifest: Manifest,
    mine: Journal,
    wanted: Sequence[tuple[Namespace, Key]],
) -> RestoreFacts:
    pairs = [
        load.Pair(namespace, Key(move.database, move.staged))
        for (namespace, _), move in zip(wanted, mine.moves, strict=False)
    ]
    with means.storage.read(manifest.data) as stored, closing(chunks(stored, identities(means, manifest))) as archive:
        documents = load.fill(
            client,
            target,
            pairs,
            _told(means, manifest, archive),
            program=means.program,
            patience=means.patience,
            advanced=lambda done: means.tell("Comparing", 0, 0, 50 * done // len(pairs)),
        )
    indexes = load.index(
        client, pairs, lambda done: means.tell("Comparing", documents, 0, 50 + 50 * done // len(pairs))
    )
    return RestoreFacts(
        name=manifest.name,
        documents=documents,
        size=sum(namespace.size for namespace, _ in wanted),
        collections=len(wanted),
        indexes=indexes,
        seconds=0.0,
    )


def identities(means: Means, manifest: Manifest) -> list[Any] | None:
    """Keys for a backup; None where it is not encrypted.

    Raises:
        KeyMissing: it is encrypted, and there are no keys.
    """
    if manifest.encryption is None:
        return None
    if means.identities is None:
        raise KeyMissing(f"the backup {manifest.name} is encrypted: name a Secret with an age identity that opens it")
    return means.identities


def _verify(means: Means, manifest: Manifest) -> None:
    def advanced(reader: Reader) -> None:
        percent = min(100, 100 * reader.position // max(1, manifest.archive_size))
        means.tell("Verifying", reader.documents, reader.position, percent)

    with means.storage.read(manifest.data) as stored:
        check(verify(stored, identities=identities(means, manifest), advanced=advanced), manifest)


def _told(means: Means, manifest: Manifest, archive: Iterable[bytes]) -> Iterator[bytes]:
    """The archive; how far it is, is told by its bytes, and its documents are those that went by on the average."""
    size = 0
    for piece in archive:
        done = size / max(1, manifest.archive_size)
        means.tell("Restoring", int(manifest.documents * done), size, int(100 * done))
        yield piece
        size += len(piece)


def _swap(client: mongo.Client, mine: Journal, tell: Tell) -> None:
    if mine.phase == "Swapping":
        count = len(mine.moves)
        try:
            swap.forward(client, mine, lambda done: tell("Swapping", 0, 0, 100 * done // count))
            journals.advance(client, mine, "Tidying")
        except BaseException:
            # Where MongoDB is gone, the journal stays, and the next try goes on.
            with suppress(PyMongoError):
                # Written down before, since what is put back would look like what had arrived.
                _give_up(client, journals.advance(client, mine, "Undoing"))
            raise
    tell("Swapping", 0, 0, 100)


def _give_up(client: mongo.Client, mine: Journal) -> None:
    """Leave the target as it was; after a crash it can be done again."""
    if mine.phase == "Undoing":
        swap.back(client, mine)
    _forget(client, mine)


def _forget(client: mongo.Client, mine: Journal) -> None:
    """Remove what a try has made that is not to win."""
    made = [move.place for move in mine.moves if move.in_place]
    swap.tidy(client, mine.id, mine.databases, in_place=made)
    journals.end(client, mine)


def _end_other(client: mongo.Client, other: Journal, means: Means) -> None:
    """Another Restore has died in the middle, and its Lease is ours now: what it had decided on is done."""
    if other.phase in {"Staging", "Undoing"}:
        _give_up(client, other)
    else:
        _finish(client, other, dataclasses.replace(means, tell=silent), time.monotonic())
        journals.end(client, other)


def _there(client: mongo.Client, databases: Iterable[str]) -> list[mongo.Collection]:
    """What the target holds, but for what Restores have made beside it."""
    found = (it for name in databases for it in mongo.collections(client, name))
    return [it for it in found if not it.key.collection.startswith(RESERVED)]


def _check_empty(client: mongo.Client, there: Sequence[mongo.Collection], whole: set[str], places: set[Key]) -> None:
    """Collections without documents are no data: agents make them when they start.

    Raises:
        TargetNotEmpty: something would be overwritten, or mixed with what is restored.
    """
    full = [
        str(it.key)
        for it in there
        if (it.key.database in whole or it.key in places)
        and it.type != "view"
        and client[it.key.database][it.key.collection].find_one({}, {"_id": 1}) is not None
    ]
    if full:
        more = f" and {len(full) - 1} more" if len(full) > 1 else ""
        raise TargetNotEmpty(
            f"the target has documents in {full[0]}{more}: restore into a database of another name, "
            "or set mode: Replace"
        )


@contextmanager
def _reading(storage: Storage, name: str) -> Iterator[None]:
    """Mark the backup as being read; where the storage can't be written to, nobody prunes it, either."""
    key = layout.reading_key(name)
    with suppress(StorageError):
        storage.put(key, datetime.now(UTC).isoformat().encode(), replace=True)
    try:
        yield
    finally:
        with suppress(StorageError):
            storage.remove(key)
