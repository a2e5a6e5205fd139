from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
from pymongo import MongoClient

from agent_runtime.state.connection import MongoConnection
from agent_runtime.state.mongodb import MongoStore
from agent_runtime.state.records import ANONYMOUS, Thread, ThreadQuery
from fakes.store_contract import CASES


@pytest.fixture(scope="module")
def database(mongodb_uri):
    name = f"test_{secrets.token_hex(4)}"
    yield name
    with MongoClient(mongodb_uri) as client:
        client.drop_database(name)


@pytest.fixture
async def store(mongodb_uri, database) -> AsyncIterator[MongoStore]:
    """A store of an agent of its own."""
    it = MongoStore(MongoConnection(lambda: mongodb_uri, database), f"tests/{secrets.token_hex(4)}")
    await it.prepare()
    yield it
    await it.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_store(case, store):
    await case(store)


async def test_preparing_twice_changes_nothing(store):
    await store.prepare()
    await store.ping()


async def test_threads_of_an_older_release_are_those_of_anonymous_callers(store, mongodb_uri, database):
    await store.add_thread(Thread("old"))
    with MongoClient(mongodb_uri) as client:
        for collection in ("threads", "runs"):
            client[database][collection].update_many({}, {"$unset": {"owner": ""}})
    assert [thread.thread_id for thread in await store.threads(ThreadQuery(owner=ANONYMOUS))] == ["old"]
    assert await store.threads(ThreadQuery(owner="apiKey|alice")) == []
    thread = await store.thread("old")
    assert thread is not None
    assert thread.owner == ANONYMOUS


@pytest.mark.usefixtures("store")
async def test_the_indexes_are_there(mongodb_uri, database):
    with MongoClient(mongodb_uri) as client:
        keys = {
            name: [tuple(index["key"]) for index in client[database][name].list_indexes()]
            for name in ("threads", "runs")
        }
    assert ("agent", "status", "created_at") in keys["runs"]
    assert ("agent", "updated_at", "_id") in keys["threads"]
