"""Puts restored collections in the place of what is there: each step can be done again, and undone until the last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.errors import ConfigError
from apm_operator.backup.journal import Journal, Move, prefix
from apm_operator.backup.manifest import Namespace
from apm_operator.backup.mongo import Client, Collection, collections, from_canonical
from apm_operator.backup.rename import check_length, rename

_MAXIMUM_NAME = 235
"""Bytes of `database.collection` that any MongoDB takes: 4.2 and DocumentDB have 235, newer ones 255."""


def plan(
    wanted: Iterable[tuple[Namespace, Key]], restore: str, attempt: str, there: Iterable[Collection], leaving: set[str]
) -> tuple[Move, ...]:
    """How each collection gets to its place.

    Args:
        wanted: what is restored, and its place.
        restore: its id.
        attempt: of this try.
        there: what the target databases hold.
        leaving: databases of which everything goes that is not restored.

    Raises:
        ConfigError: a time series is in the way, or a name is too long.
    """
    now = {each.key: each for each in there}
    moves: list[Move] = []
    begin = prefix(restore)

    def add(place: Key, namespace: Namespace | None) -> None:
        number, old = len(moves), now.get(place)
        if old is not None and old.type not in ("collection", "view"):
            raise ConfigError(f"{place} of the target is a {old.type}, which can't be renamed: drop it first")
        kind = namespace.type if namespace else "collection"
        if kind == "timeseries" and old is not None:
            raise ConfigError(f"{place} is in the way of a time series, which can't be renamed: drop it first")
        staged = f"{begin}{attempt}_{number}"
        if namespace and len(str(place).encode()) > max(_MAXIMUM_NAME, len(_source(namespace))):
            raise ConfigError(f"the name {place} is too long for MongoDB: choose a shorter one for the database")
        moves.append(
            Move(
                database=place.database,
                name=place.collection,
                source=(namespace.database, namespace.collection) if namespace else None,
                staged=place.collection if kind == "timeseries" else staged,
                old=f"{begin}old_{attempt}_{number}",
                there="nothing" if old is None else "view" if old.type == "view" else "collection",
                old_view=dict(old.options) if old is not None and old.type == "view" else None,
                new_view=namespace.options if namespace and kind == "view" else None,
            )
        )

    for namespace, place in wanted:
        add(place, namespace)
    taken = {move.place for move in moves}
    for key in now:
        if key.database in leaving and key not in taken:
            add(key, None)
    return tuple(moves)


def check(client: Client, restore: str, moves: Iterable[Move]) -> None:
    """Ask the target for what only some servers have.

    Raises:
        ConfigError: it takes no names as long as one of these.
    """
    lengths: dict[str, int] = {}
    for move in moves:
        if move.source is not None:
            lengths[move.database] = max(lengths.get(move.database, 0), len(str(move.place).encode()))
    for database, length in lengths.items():
        if length > _MAXIMUM_NAME:
            check_length(client, database, length, prefix(restore))


def forward(client: Client, journal: Journal, stepped: Callable[[int], None]) -> None:
    """Everything to its place; after a crash it goes on where it was, whatever a writer has put there meanwhile.

    Args:
        client: of the target.
        journal: it is in phase `Swapping`.
        stepped: is told how many collections are in their place, before and after each step.
    """
    names = {database: set(client[database].list_collection_names()) for database in journal.databases}
    for number, move in enumerate(journal.moves):
        stepped(number)
        _put_away(client, move, names[move.database])
        stepped(number)
        if move.new_view is not None:
            client[move.database].drop_collection(move.name)
            _create_view(client, move, move.new_view)
        elif move.source and not move.in_place and move.staged in names[move.database]:
            rename(client, Key(move.database, move.staged), move.name)
    stepped(len(journal.moves))


def back(client: Client, journal: Journal) -> None:
    """What was there is there again; what was restored is where it was staged, or gone."""
    names = {database: set(client[database].list_collection_names()) for database in journal.databases}
    for move in reversed(journal.moves):
        there = names[move.database]
        if move.old in there:
            rename(client, Key(move.database, move.old), move.name)
        elif move.there == "view" and (move.staged not in there or move.new_view is not None):
            client[move.database].drop_collection(move.name)
            _create_view(client, move, move.old_view or {})
        elif move.there == "nothing" and move.staged not in there:
            client[move.database].drop_collection(move.name)


def tidy(client: Client, restore: str, databases: Iterable[str], *, in_place: Iterable[Key] = ()) -> None:
    """Remove what tries of a Restore have left beside the data, and what they made `in_place`."""
    for database in databases:
        for each in collections(client, database):
            if each.key.collection.startswith(prefix(restore)):
                client[database].drop_collection(each.key.collection)
    for key in in_place:
        client[key.database].drop_collection(key.collection)


def _put_away(client: Client, move: Move, names: set[str]) -> None:
    """Free the place: until the last step nothing of what was there is gone."""
    arrived = move.source is not None and move.new_view is None and move.staged not in names
    if arrived or move.in_place or move.name not in names:
        return
    if move.there == "collection" and move.old not in names:
        rename(client, move.place, move.old)
    elif move.there == "view" or move.source is None:
        client[move.database].drop_collection(move.name)


def _create_view(client: Client, move: Move, definition: Mapping[str, Any]) -> None:
    client[move.database].create_collection(move.name, **from_canonical(definition))


def _source(namespace: Namespace) -> bytes:
    return f"{namespace.database}.{namespace.collection}".encode()
