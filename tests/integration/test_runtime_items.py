from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from agent_runtime.errors import InputError
from agent_runtime.items import mongo
from agent_runtime.items.mongo import MongoItems
from agent_runtime.state.connection import MongoConnection
from fakes.items_contract import CASES


@pytest.fixture
async def items(mongodb_uri) -> AsyncIterator[MongoItems]:
    connection = MongoConnection(lambda: mongodb_uri, f"test_{secrets.token_hex(4)}")
    it = MongoItems(connection, "tests/agent")
    await it.prepare()
    await it.prepare()
    other = MongoItems(connection, "tests/agent-2")
    await other.aput(("a",), "k", {"of": "another agent"})
    yield it
    assert [item.value for item in await other.asearch(())] == [{"of": "another agent"}]
    await connection.database.client.drop_database(connection.name)
    await connection.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_items(case, items):
    await case(items)


async def test_a_search_and_a_read_use_indexes(items):
    collection = items._connection.database["items"]
    indexes = await collection.index_information()
    assert {"agent", "path", "updated_at"} in [{name for name, _ in index["key"]} for index in indexes.values()]
    assert any(index.get("expireAfterSeconds") == 0 for index in indexes.values())


@pytest.mark.parametrize("field", ["key", "namespace", "created_at", "updated_at", "ttl"])
@pytest.mark.parametrize("value", [None, 5])
async def test_what_others_wrote_beside_them_fails_no_search(items, field, value):
    await items.aput(("a",), "good", {"n": 1})
    await items.aput(("a",), "odd", {"n": 2})
    update = {"$unset": {field: ""}} if value is None else {"$set": {field: value}}
    await items._items.update_one({"key": "odd"}, update)
    whole = field == "ttl"
    assert {item.key for item in await items.asearch(("a",))} == {"good", *({"odd"} if whole else ())}
    assert (await items.aget(("a",), "odd") is not None) == whole
    await items.aput(("a",), "odd", {"n": 3})
    assert len(await items.asearch(("a",))) == 2


async def test_a_search_that_finds_more_than_a_pod_holds_is_refused(items, monkeypatch):
    monkeypatch.setattr(mongo, "LARGEST_FOUND", 3 << 20)
    for number in range(5):
        await items.aput(("large",), f"k{number}", {"text": "x" * 1_000_000})
    assert len(await items.asearch(("large",), limit=3)) == 3
    with pytest.raises(InputError, match="ask for fewer with `limit`"):
        await items.asearch(("large",), limit=5)
