"""Items whose value can't be read; tests/integration/test_runtime_items.py tries the rest on MongoDB."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import pytest
from langgraph.store.base import SearchOp

from agent_runtime.errors import UnreadableError
from agent_runtime.items.base import SealedItem
from agent_runtime.items.mongo import MongoItems
from agent_runtime.items.owned import OwnedItems
from agent_runtime.state.checkpoints.cipher import Cipher
from agent_runtime.state.checkpoints.seal import Sealer
from agent_runtime.state.records import now
from agent_runtime.state.vault import Vault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Found:
    """What a query finds."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self._documents = documents

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        for document in self._documents:
            yield document


def document(key: str, value: Any) -> dict[str, Any]:
    """An item as it is kept."""
    name = f"tests/agent/me\x00notes\x00{key}"
    if isinstance(value, Vault):
        value = value.close('{"text": "words"}', f"{name}|value")
    moment = now()
    place = {"_id": name, "namespace": ["me", "notes"], "key": key}
    return {**place, "value": value, "ttl": None, "created_at": moment, "updated_at": moment}


@pytest.fixture
def items() -> MongoItems:
    lost = Vault(Sealer(cipher=Cipher([os.urandom(32)])))
    kept = [document("a", lost), document("b", '{"text": "words"}'), document("c", "{"), document("d", "{}")]

    async def aggregate(_: Any) -> Found:
        return Found([{"_id": "me\x00notes\x00"}, {"_id": None}])

    collection = SimpleNamespace(find=lambda *_, **__: Found(kept), aggregate=aggregate)
    connection: Any = SimpleNamespace(database={"items": collection})
    return MongoItems(connection, "tests/agent")


async def test_who_asks_for_them_gets_them_among_the_others(items):
    mine = OwnedItems(items, lambda: "me")
    found = await mine.find(SearchOp(("notes",), refresh_ttl=False), sealed=True)
    assert [(item.namespace, item.key, isinstance(item, SealedItem)) for item in found] == [
        (("notes",), "a", True),
        (("notes",), "b", False),
        (("notes",), "c", True),
        (("notes",), "d", False),
    ]
    assert found[0].dict()["value"] == {}
    assert "state.encryption" in found[0].dict()["unreadable"]
    assert "unreadable" not in found[1].dict()
    page = await mine.find(SearchOp(("notes",), limit=2, offset=1, refresh_ttl=False), sealed=True)
    assert [item.key for item in page] == ["b", "c"]


async def test_a_graph_and_a_filter_pass_them_by(items):
    mine = OwnedItems(items, lambda: "me")
    assert [item.key for item in await mine.asearch(("notes",), refresh_ttl=False)] == ["b", "d"]
    asked = SearchOp(("notes",), filter={"text": "words"}, refresh_ttl=False)
    assert [item.key for item in await mine.find(asked, sealed=True)] == ["b"]


async def test_one_alone_can_not_be_had(items, monkeypatch):
    async def found(_: Any) -> dict[str, Any]:
        return document("c", None)

    monkeypatch.setattr(items._items, "find_one", found, raising=False)
    with pytest.raises(UnreadableError):
        await items.aget(("me", "notes"), "c", refresh_ttl=False)


async def test_namespaces_are_listed_whatever_is_in_them(items):
    assert await items.alist_namespaces() == [("me", "notes")]
