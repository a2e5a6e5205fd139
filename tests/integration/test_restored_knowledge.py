"""A knowledge base with the server's vector index is backed up, and is searched after a restore as before."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from agent_runtime.integrations.knowledge.base import EVERYBODY, KnowledgeBase
from agent_runtime.integrations.knowledge.document import Document
from agent_runtime.integrations.knowledge.hashing import HashingEmbedding
from agent_runtime.integrations.knowledge.store import PassageStore
from agent_runtime.integrations.knowledge_base import Search
from agent_runtime.state.connection import MongoConnection
from apm_operator.backup import restore
from integration.restores import Place


@pytest.fixture
def client(mongodb_uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient(mongodb_uri) as it:
        yield it


async def _loaded(uri: str, database: str) -> None:
    connection = MongoConnection(lambda: uri, database)
    knowledge = KnowledgeBase(PassageStore(connection, "shop/guide"), HashingEmbedding())
    texts = [Document(id=f"d{number}", text=f"Order {number} of table {number % 7}") for number in range(60)]
    await knowledge.load(texts, EVERYBODY)
    await connection.close()


async def _found(uri: str, database: str) -> tuple[str, int]:
    """What a search finds first, and how many the index alone finds."""
    connection = MongoConnection(lambda: uri, database)
    store = PassageStore(connection, "shop/guide")
    (wanted,) = await HashingEmbedding().vectors(["order 42"])
    by_index = await store.by_index(wanted, [EVERYBODY], 5)
    results = await KnowledgeBase(store, HashingEmbedding()).search(Search(query="order 42"), None)
    await connection.close()
    return results[0].id, len(by_index)


def test_it_is_searched_after_a_restore_as_before(tmp_path: Path, mongodb_uri: str, database: str, client: Any):
    place = Place(tmp_path, mongodb_uri)
    asyncio.run(_loaded(mongodb_uri, database))
    place.backup("b", database)
    client[database]["knowledge_shop_guide"].delete_many({"document": "d42"})
    restore.restore(place.job(name="b", replace=True), place.means())
    assert asyncio.run(_found(mongodb_uri, database)) == ("d42", 5)
