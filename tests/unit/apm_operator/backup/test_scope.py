"""What a Scope means where certain databases and collections are."""

from __future__ import annotations

import pytest

from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.errors import SourceError
from apm_operator.backup.job import Scope
from apm_operator.backup.scope import Selection, Target, targets

FOUND = {"shop": ["orders", "customers", "system.views"], "logs": ["a.b"], "admin": ["system.users", "x"], "none": []}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(), [Target("logs"), Target("shop")]),
        (Scope(databases=("shop",)), [Target("shop")]),
        (Scope(databases=("admin",)), [Target("admin")]),
        (Scope(namespaces=("shop.orders",)), [Target("shop", "orders")]),
        (Scope(namespaces=("*.orders", "logs.*")), [Target("logs"), Target("shop", "orders")]),
        (Scope(excluded=("shop.orders",)), [Target("logs"), Target("shop", "customers")]),
        (Scope(excluded=("logs.*",)), [Target("shop")]),
        (Scope(databases=("shop", "logs"), namespaces=("shop.*",)), [Target("shop")]),
        (Scope(namespaces=("logs.a.b",)), [Target("logs")]),
    ],
)
def test_the_runs_of_mongodump(scope, expected):
    found = FOUND if "admin" in scope.databases else {name: FOUND[name] for name in FOUND if name != "admin"}
    assert targets(scope, found) == tuple(expected)


def test_many_of_a_database_are_left_out_by_name():
    found = {"shop": ["a1", "a2", "b"]}
    assert targets(Scope(namespaces=("shop.a*",)), found) == (Target("shop", None, ("b",)),)


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        (Scope(databases=("no", "shop")), "does not have no:"),
        (Scope(databases=("none",)), "does not have none:"),
        (Scope(namespaces=("shop.no", "logs.*")), "does not have shop.no:"),
        (Scope(namespaces=("x*.*",)), "nothing to dump"),
        (Scope(excluded=("*",)), "nothing to dump"),
    ],
)
def test_what_is_not_there_is_no_backup(scope, told):
    with pytest.raises(SourceError, match=told):
        targets(scope, FOUND)


def test_mongodbs_own_databases_are_taken_by_name_only():
    assert Key("admin", "x") not in Selection(Scope())
    assert Key("config", "x") not in Selection(Scope(namespaces=("*.x",)))
    assert Key("admin", "x") in Selection(Scope(namespaces=("admin.x",)))


def test_only_the_star_has_a_meaning():
    assert Key("shop", "a+b") in Selection(Scope(namespaces=("shop.a+*",)))
    assert Key("shop", "aab") not in Selection(Scope(namespaces=("shop.a+*",)))


@pytest.mark.parametrize(
    ("scope", "whole"),
    [
        (Scope(), True),
        (Scope(databases=("shop",)), True),
        (Scope(namespaces=("shop.orders",)), False),
        (Scope(namespaces=("shop.*",)), True),
        (Scope(namespaces=("logs.x", "sh*.*")), True),
        (Scope(namespaces=("shop.o*",)), False),
        (Scope(namespaces=("shop.*",), excluded=("shop.orders",)), False),
        (Scope(excluded=("shop.orders",)), False),
        (Scope(excluded=("apm_test_0123_*.*", "logs.*")), True),
        (Scope(excluded=("sh*.orders",)), False),
        (Scope(excluded=("*.orders",)), False),
        (Scope(excluded=("s*x.orders",)), False),
    ],
)
def test_a_database_is_whole_where_nothing_of_it_can_be_left_out(scope, whole):
    assert Selection(scope).whole("shop") is whole
