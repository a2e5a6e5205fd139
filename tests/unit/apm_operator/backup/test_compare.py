"""What servers only write in other ways is no difference; what changes what a collection does is one."""

from typing import Any

import pytest

from apm_operator.backup.archive.prelude import Key
from apm_operator.backup.compare import creatable, differences
from apm_operator.backup.manifest import Namespace
from apm_operator.backup.mongo import Collection

PLACE = Key("scratch", "orders")
TTL = {
    "v": {"$numberInt": "2"},
    "key": {"at": {"$numberInt": "1"}},
    "name": "at_1",
    "expireAfterSeconds": {"$numberInt": "60"},
}
PAIR = {
    "v": {"$numberInt": "2"},
    "key": {"a": {"$numberInt": "1"}, "b": {"$numberInt": "-1"}},
    "name": "pair",
    "unique": True,
}
PARTIAL = {
    "key": {"k": {"$numberInt": "1"}},
    "name": "part",
    "partialFilterExpression": {"k": {"$gt": {"$numberInt": "5"}}},
}


def _namespace(*indexes: dict[str, Any], documents: int = 3, **options: Any) -> Namespace:
    return Namespace(
        database="shop", collection="orders", documents=documents, size=0, crc64="0", options=options, indexes=indexes
    )


def _differences(expected: Namespace, *indexes: dict[str, Any], documents: int = 3, **options: Any) -> tuple[str, ...]:
    return differences(expected, Collection(PLACE, "collection", options, indexes), documents=documents)


@pytest.mark.parametrize(
    ("dumped", "found"),
    [
        (TTL, {**TTL, "ns": "scratch.orders", "storageEngine": {"enableOrderedIndex": True}}),
        (TTL, {**TTL, "v": {"$numberInt": "1"}, "background": True, "expireAfterSeconds": {"$numberDouble": "60.0"}}),
        (TTL, {**TTL, "key": {"at": {"$numberLong": "1"}}}),
        (PAIR, {**PAIR, "sparse": False, "hidden": False}),
        ({**TTL, "unique": {"$numberInt": "1"}}, {**TTL, "unique": True}),
        (
            {
                "key": {"_fts": "text"},
                "name": "t",
                "textIndexVersion": {"$numberInt": "3"},
                "default_language": "english",
            },
            {"key": {"_fts": "text"}, "name": "t", "textIndexVersion": {"$numberInt": "2"}},
        ),
    ],
)
def test_the_same_index_written_otherwise_is_no_difference(dumped, found):
    assert _differences(_namespace(dumped), found) == ()


@pytest.mark.parametrize(
    ("dumped", "found", "said"),
    [
        (TTL, {**TTL, "expireAfterSeconds": {"$numberInt": "61"}}, "expireAfterSeconds is 61.0, not 60.0"),
        (
            TTL,
            {key: value for key, value in TTL.items() if key != "expireAfterSeconds"},
            "expireAfterSeconds is absent",
        ),
        (PAIR, {**PAIR, "unique": False}, "unique is absent, not true"),
        (PAIR, {**PAIR, "key": {"b": {"$numberInt": "-1"}, "a": {"$numberInt": "1"}}}, "key is"),
        (PARTIAL, {**PARTIAL, "partialFilterExpression": {}}, "partialFilterExpression"),
    ],
)
def test_what_an_index_does_is_compared(dumped, found, said):
    (told,) = _differences(_namespace(dumped), found)
    assert said in told


def test_missing_and_further_indexes_are_told():
    assert _differences(_namespace(TTL), PAIR) == (
        "shop.orders: index at_1 is missing",
        "shop.orders: index pair is not in the backup",
    )


def test_counts_and_options_are_compared():
    assert _differences(_namespace(), documents=2) == ("shop.orders has 2 documents, not 3",)
    (told,) = _differences(_namespace(capped=True), capped=False)
    assert told == "shop.orders: option capped is absent, not true"
    assert _differences(_namespace(size={"$numberInt": "4096"}), size={"$numberLong": "4096"}) == ()


def test_nothing_there_is_a_difference():
    assert differences(_namespace(), None, documents=None) == ("shop.orders is missing",)


def test_an_index_is_created_without_what_its_server_added():
    made = {**TTL, "ns": "shop.orders", "storageEngine": {"enableOrderedIndex": True}}
    assert creatable(made) == {key: value for key, value in TTL.items() if key != "v"}
    kept = {**TTL, "storageEngine": {"wiredTiger": {"configString": "block_compressor=zstd"}}}
    assert creatable(kept)["storageEngine"] == kept["storageEngine"]


def test_what_is_of_another_type_or_count_or_not_there_is_told():
    place = Collection(PLACE, "view", {}, ())
    assert differences(_namespace(), place, documents=3) == ("shop.orders is a view, not a collection",)
    assert _differences(_namespace(), documents=2) == ("shop.orders has 2 documents, not 3",)
    assert differences(_namespace(), None, documents=3) == ("shop.orders is missing",)


def test_versions_that_a_server_chooses_itself_are_no_difference():
    old, new = ({"locale": "de", "version": version} for version in ("57.1", "153.120"))
    dumped = _namespace({**PAIR, "collation": old}, collation=old, clusteredIndex={"unique": True, "v": 2})
    found = {"collation": new, "clusteredIndex": {"unique": True, "v": 3}}
    assert _differences(dumped, {**PAIR, "collation": new}, **found) == ()
    other = {**found, "collation": {**new, "locale": "fr"}}
    assert len(_differences(dumped, {**PAIR, "collation": new}, **other)) == 1
