"""Where collections go on their way to their place."""

from typing import Any

import pytest

from apm_operator.backup import swap
from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.errors import ConfigError
from apm_operator.backup.manifest import Namespace
from apm_operator.backup.mongo import Collection


def _namespace(collection: str, kind: str = "collection", **options: Any) -> Namespace:
    return Namespace(database="shop", collection=collection, type=kind, documents=0, size=0, crc64="0", options=options)


def _plan(*wanted: Namespace, there: Any = (), leaving: Any = ()) -> Any:
    pairs = [(each, Key("shop", each.collection)) for each in wanted]
    return swap.plan(pairs, "r-1", "ab12", there, set(leaving))


def test_everything_is_staged_under_short_names_of_this_try():
    long = "n" * 200
    (move,) = _plan(_namespace(long))
    assert (move.name, move.there) == (long, "nothing")
    assert move.staged.startswith("apm_restore_")
    assert move.staged.endswith("_ab12_0")
    assert len(move.staged) < 40
    assert len({move.name, move.staged, move.old}) == 3


def test_what_the_backup_does_not_have_goes_only_from_databases_that_are_whole():
    there = [Collection(Key("shop", "orders")), Collection(Key("shop", "added")), Collection(Key("other", "added"))]
    assert [move.name for move in _plan(_namespace("orders"), there=there)] == ["orders"]
    goes = _plan(_namespace("orders"), there=there, leaving=["shop"])
    assert [(move.name, move.source, move.there) for move in goes] == [
        ("orders", ("shop", "orders"), "collection"),
        ("added", None, "collection"),
    ]


def test_views_are_made_anew_and_remembered():
    there = [Collection(Key("shop", "open"), "view", {"viewOn": "old"})]
    (move,) = _plan(_namespace("open", "view", viewOn="orders"), there=there)
    assert (move.there, move.old_view, move.new_view) == ("view", {"viewOn": "old"}, {"viewOn": "orders"})


def test_a_time_series_is_restored_in_place_where_nothing_is():
    (move,) = _plan(_namespace("metrics", "timeseries"))
    assert move.in_place
    with pytest.raises(ConfigError, match="in the way of a time series"):
        _plan(_namespace("metrics", "timeseries"), there=[Collection(Key("shop", "metrics"))])
    with pytest.raises(ConfigError, match="can't be renamed"):
        _plan(_namespace("orders"), there=[Collection(Key("shop", "metrics"), "timeseries")], leaving=["shop"])


def test_a_name_that_grows_beyond_what_mongodb_takes_is_refused():
    namespace = _namespace("n" * 220)
    with pytest.raises(ConfigError, match="too long"):
        swap.plan([(namespace, Key("d" * 60, namespace.collection))], "r-1", "ab12", [], set())
    assert swap.plan([(namespace, Key("other", namespace.collection))], "r-1", "ab12", [], set())
