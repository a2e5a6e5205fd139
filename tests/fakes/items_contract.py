"""What every place of items has to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langgraph.store.base import GetOp, PutOp

from agent_runtime.errors import InputError
from agent_runtime.items.owned import OwnedItems

if TYPE_CHECKING:
    from agent_runtime.items.base import Items

ODD: dict[str, Any] = {"$set": 1, "a.b": [2**70, None], "text": "\u00e4"}


async def an_item_is_kept_changed_and_removed(items: Items) -> None:
    await items.aput(("users", "u1"), "name", ODD)
    first = await items.aget(("users", "u1"), "name")
    assert first is not None
    assert first.value["$set"] == 1
    assert first.value["text"] == "\u00e4"
    assert (first.namespace, first.key) == (("users", "u1"), "name")
    await items.aput(("users", "u1"), "name", {"now": True})
    second = await items.aget(("users", "u1"), "name")
    assert second is not None
    assert second.value == {"now": True}
    assert second.created_at == first.created_at
    assert second.updated_at >= first.updated_at
    assert await items.aget(("users",), "name") is None
    await items.adelete(("users", "u1"), "name")
    await items.adelete(("users", "u1"), "name")
    assert await items.aget(("users", "u1"), "name") is None


async def items_are_found_below_a_namespace(items: Items) -> None:
    for space, key, size in ((("a", "b"), "k1", 1), (("a", "bc"), "k2", 2), (("a", "b", "c"), "k3", 3)):
        await items.aput(space, key, {"size": size, "of": {"kind": "x" if size < 3 else "y"}})
    assert {item.key for item in await items.asearch(("a",))} == {"k1", "k2", "k3"}
    assert {item.key for item in await items.asearch(("a", "b"))} == {"k1", "k3"}
    assert await items.asearch(("b",)) == []
    assert [item.key for item in await items.asearch(("a",), filter={"size": 2})] == ["k2"]
    assert {item.key for item in await items.asearch(("a",), filter={"size": {"$gte": 2}})} == {"k2", "k3"}
    assert {item.key for item in await items.asearch(("a",), filter={"size": {"$ne": 2}})} == {"k1", "k3"}
    assert [item.key for item in await items.asearch(("a",), filter={"of": {"kind": "y"}})] == ["k3"]
    assert await items.asearch(("a",), filter={"size": {"$gt": "text"}}) == []
    with pytest.raises(InputError, match=r"no operator \$near"):
        await items.asearch(("a",), filter={"size": {"$near": 2}})
    for within in ({"of": {"kind": {"$near": 2}}}, {"of": {"kind": {"$eq": 1, "$near": 2}}}):
        with pytest.raises(InputError, match=r"`filter.of.kind`: there is no operator \$near"):
            await items.asearch(("a",), filter=within)
    with pytest.raises(InputError, match="no operator other"):
        await items.asearch(("a",), filter={"size": {"$gte": 2, "other": 1}})
    pages = [await items.asearch(("a",), limit=2, offset=offset) for offset in (0, 2)]
    assert [len(page) for page in pages] == [2, 1]
    assert {item.key for page in pages for item in page} == {"k1", "k2", "k3"}


async def namespaces_are_listed(items: Items) -> None:
    for space in (("a", "b", "v1"), ("a", "c", "v1"), ("b", "c", "v2"), ("v1",)):
        await items.aput(space, "k", {})
    assert await items.alist_namespaces() == [("a", "b", "v1"), ("a", "c", "v1"), ("b", "c", "v2"), ("v1",)]
    assert await items.alist_namespaces(prefix=("a",)) == [("a", "b", "v1"), ("a", "c", "v1")]
    assert await items.alist_namespaces(prefix=("*", "c")) == [("a", "c", "v1"), ("b", "c", "v2")]
    assert await items.alist_namespaces(suffix=("v1",), max_depth=1) == [("a",), ("v1",)]
    assert await items.alist_namespaces(suffix=("v1", "v1")) == []
    assert await items.alist_namespaces(limit=1, offset=1) == [("a", "c", "v1")]


async def items_expire(items: Items) -> None:
    for key, ttl in (("short", 0.0005), ("long", 5.0), ("ever", None)):
        await items.aput(("t",), key, {}, ttl=ttl)
    while await items.aget(("t",), "short", refresh_ttl=False):
        pass
    assert {item.key for item in await items.asearch(("t",))} == {"long", "ever"}
    await items.aput(("t",), "short", {"again": True})
    again = await items.aget(("t",), "short")
    assert again is not None
    assert again.created_at == again.updated_at


async def owners_never_meet(items: Items) -> None:
    alice, bob = (OwnedItems(items, lambda name=name: name) for name in ("alice", "bob"))  # type: ignore[misc] # the default binds the name
    await alice.aput(("notes", "alice"), "k", {"of": "alice"})
    await bob.aput(("notes",), "k", {"of": "bob"})
    assert await bob.aget(("notes", "alice"), "k") is None
    assert [item.value["of"] for item in await alice.asearch(("notes",))] == ["alice"]
    assert [item.namespace for item in await alice.asearch(())] == [("notes", "alice")]
    assert await alice.alist_namespaces() == [("notes", "alice")]
    assert await alice.alist_namespaces(prefix=("notes",), max_depth=1) == [("notes",)]
    assert await alice.alist_namespaces(suffix=("alice",)) == [("notes", "alice")]
    # The owner's own label is none of the namespace.
    assert await bob.alist_namespaces(suffix=("bob", "notes")) == []
    await bob.adelete(("notes", "alice"), "k")
    assert await alice.aget(("notes", "alice"), "k") is not None


async def a_large_item_is_refused(items: Items) -> None:
    with pytest.raises(InputError, match="larger than 1024 KiB"):
        await items.aput(("a",), "k", {"text": "x" * (1 << 20)})
    results = await items.abatch([PutOp(("a",), "k", {"n": 1}), GetOp(("a",), "k")])
    assert results[1] is not None


CASES = (
    an_item_is_kept_changed_and_removed,
    items_are_found_below_a_namespace,
    namespaces_are_listed,
    items_expire,
    owners_never_meet,
    a_large_item_is_refused,
)
