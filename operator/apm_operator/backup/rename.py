"""Collections get another name: by renameCollection, or by a copy where the server can't do that with theirs."""

from __future__ import annotations

from contextlib import suppress

from pymongo.errors import OperationFailure, PyMongoError

from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.compare import creatable
from apm_operator.backup.errors import ConfigError, Differs
from apm_operator.backup.mongo import Client, collections, count, from_canonical, list_indexes

_NOT_FOUND = 26
_INVALID_NAMESPACE = 73
_COPY = "_copy"


def rename(client: Client, source: Key, collection: str) -> None:
    """Give a collection another name within its database; what is called so gives way.

    FerretDB has no renameCollection for names with dots, such as `fs.files` (its msg_renamecollection.go splits them
    at each dot). There the documents are copied by the server. `source` is gone only once all of them have arrived;
    while it is there, the same call does it anew. A name without dots is taken in one step, by a whole collection.

    Raises:
        Differs: the copy is not whole; `source` is untouched.
    """
    try:
        _rename(client, source, collection)
    except OperationFailure as error:
        if error.code != _INVALID_NAMESPACE or "." not in source.collection + collection:
            raise
        if "." in collection:
            _copy(client, source, collection)
        else:
            _copy(client, source, collection + _COPY)
            _rename(client, Key(source.database, collection + _COPY), collection)
        client[source.database].drop_collection(source.collection)


def check_length(client: Client, database: str, length: int, probe: str) -> None:
    """Whether the server takes a name of so many bytes, by a collection that is made and dropped.

    Args:
        client: of the server.
        database: of the collection.
        length: bytes of `database.collection`.
        probe: how the collection is to begin.

    Raises:
        ConfigError: it does not.
    """
    name = probe.ljust(length - len(f"{database}.".encode()), "_")
    try:
        client[database].create_collection(name)
    except OperationFailure as error:
        if error.code != _INVALID_NAMESPACE:
            raise
        raise ConfigError(
            f"a collection's name has {length} bytes with that of the database {database}, which this MongoDB does "
            "not take: leave it out of the Restore, or choose a shorter name for the database"
        ) from None
    client[database].drop_collection(name)


def _rename(client: Client, source: Key, collection: str) -> None:
    """A source that is not there has been renamed before."""
    place = Key(source.database, collection)
    try:
        client.admin.command({"renameCollection": str(source), "to": str(place), "dropTarget": True})
    except OperationFailure as error:
        if error.code != _NOT_FOUND:
            raise


def _copy(client: Client, source: Key, collection: str) -> None:
    """Documents, options and indexes; where that fails, nothing is left of it."""
    database = client[source.database]
    found = next((each for each in collections(client, source.database) if each.key == source), None)
    if found is None:
        return
    place = Key(source.database, collection)
    database.drop_collection(collection)
    try:
        database.create_collection(collection, **from_canonical(found.options))
        database[source.collection].aggregate([{"$out": collection}]).close()
        _compare(client, source, place)
        # Only now: one with a TTL would remove documents before they were counted.
        definitions = [from_canonical(creatable(each)) for each in list_indexes(client, source)]
        if definitions:
            database.command("createIndexes", collection, indexes=definitions)
    except BaseException:
        with suppress(PyMongoError):
            database.drop_collection(collection)
        raise


def _compare(client: Client, source: Key, place: Key) -> None:
    arrived, expected = count(client, place), count(client, source)
    if arrived < expected:
        raise Differs(f"{arrived} of {expected} documents of {source} have arrived in {place}: restore again")
