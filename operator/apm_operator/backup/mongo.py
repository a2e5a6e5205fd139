"""MongoDB as backups see it: names, options, indexes and counts; no data but single documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bson import json_util
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.connection import connect
from apm_operator.backup.errors import SourceError, SourceRefused
from apm_operator.backup.job import Mongo

SERVER_WAIT = 30.0
"""Seconds to look for a server that can be used."""
_SILENCE = 6 * 3600.0
"""Seconds for one answer: an index of a large collection takes its time. A server that is gone, or hangs, shows much
earlier: the driver's heartbeats, on a connection of their own, end what waits for it."""
_SHOWN = 300
"""Characters of a driver's message that are shown: it goes on with the state of every host."""
_NAMESPACE_NOT_FOUND = 26
_PASSING = frozenset({6, 7, 43, 50, 64, 89, 91, 133, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""Codes by which a server says that it, or another one that it needs, is away or changes its role; what drivers read
again for (https://github.com/mongodb/specifications/blob/master/source/retryable-reads), and what took too long."""

Client = MongoClient[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection (or view, or time series) of a server; what is JSON is canonical extended JSON."""

    key: Key
    type: str = "collection"
    options: Mapping[str, Any] = field(default_factory=dict)
    indexes: tuple[dict[str, Any], ...] = ()


@contextmanager
def connected(server: Mongo, *, wait: float = SERVER_WAIT) -> Iterator[Client]:
    """A client of the server, which has answered.

    Raises:
        ConfigError: the connection string or a certificate is wrong.
        SourceError: no answer within `wait` seconds, or it lets nobody in; also for what fails later in the block.
    """
    client = connect(server, serverSelectionTimeoutMS=int(wait * 1000), socketTimeoutMS=int(_SILENCE * 1000))
    with client, telling():
        client.admin.command("hello")
        yield client


@contextmanager
def telling() -> Iterator[None]:
    """Errors of the driver as ours."""
    try:
        yield
    except OperationFailure as error:
        text = str((error.details or {}).get("errmsg") or type(error).__name__)
        raise kind(error)(f"MongoDB refuses: {text[:_SHOWN]} (code {error.code})") from None
    except PyMongoError as error:
        raise SourceError(f"MongoDB does not answer: {type(error).__name__}: {str(error)[:_SHOWN]}") from None


def kind(error: PyMongoError) -> type[SourceError]:
    """What an error of the driver is to a Job: whether MongoDB is away, or would answer another pod likewise."""
    refused = isinstance(error, OperationFailure) and error.code not in _PASSING
    return SourceRefused if refused else SourceError


def collections(client: Client, database: str, *, indexes: bool = False) -> tuple[Collection, ...]:
    """What a database holds, without what is MongoDB's own (`system.…`), by name."""
    with client[database].list_collections() as cursor:
        listed = [each for each in cursor if not str(each["name"]).startswith("system.")]
    return tuple(
        Collection(
            Key(database, str(each["name"])),
            str(each.get("type", "collection")),
            canonical(each.get("options", {})),
            list_indexes(client, Key(database, str(each["name"]))) if indexes and each.get("type") != "view" else (),
        )
        for each in sorted(listed, key=lambda it: str(it["name"]))
    )


def list_indexes(client: Client, key: Key) -> tuple[dict[str, Any], ...]:
    """Definitions of the indexes but the one of `_id`; none where there is no such collection."""
    try:
        with client[key.database][key.collection].list_indexes() as cursor:
            found = [canonical(each) for each in cursor]
    except OperationFailure as error:
        if error.code == _NAMESPACE_NOT_FOUND:
            return ()
        raise
    return tuple(each for each in found if list(each["key"]) != ["_id"])


def count(client: Client, key: Key) -> int:
    """Documents there are, counted one by one: what MongoDB keeps in its books may be wrong after a crash."""
    return client[key.database][key.collection].count_documents({})


def canonical(document: Mapping[str, Any]) -> dict[str, Any]:
    """As canonical extended JSON (v2)."""
    text = json_util.dumps(document, json_options=json_util.CANONICAL_JSON_OPTIONS)
    return dict(json.loads(text))


def from_canonical(document: Mapping[str, Any]) -> dict[str, Any]:
    """What `canonical` was made of."""
    return dict(json_util.loads(json.dumps(document), json_options=json_util.CANONICAL_JSON_OPTIONS))
