from __future__ import annotations

import asyncio

import pytest

from agent_runtime.errors import UnavailableError, WorkflowError
from agent_runtime.items.memory import MemoryItems
from agent_runtime.items.owned import OwnedItems
from fakes.items_contract import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_items(case):
    await case(MemoryItems())


async def test_a_further_item_is_refused_when_there_is_no_room():
    items = MemoryItems(room=2000)
    await items.aput(("a",), "k1", {"text": "x" * 1000})
    with pytest.raises(UnavailableError, match="they are full"):
        await items.aput(("a",), "k2", {"text": "x"})
    await items.aput(("a",), "k1", {"text": "x" * 10})
    await items.aput(("a",), "k2", {"text": "x"})


async def test_code_in_threads_asks_without_waiting():
    items = OwnedItems(MemoryItems(), lambda: "alice", asyncio.get_running_loop())
    await asyncio.to_thread(items.put, ("a",), "k", {"n": 1})
    item = await asyncio.to_thread(items.get, ("a",), "k")
    assert item is not None
    assert item.value == {"n": 1}
    with pytest.raises(WorkflowError, match="in the event loop"):
        items.get(("a",), "k")


async def test_outside_of_a_run_nobody_owns_anything():
    items = OwnedItems(MemoryItems(), lambda: None)
    with pytest.raises(WorkflowError, match="outside of a run"):
        await items.aput(("a",), "k", {})
