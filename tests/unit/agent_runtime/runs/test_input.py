from __future__ import annotations

import time

import pytest
from langgraph_sdk.errors import UnprocessableEntityError

from fakes.agents import CHAT, ECHO, running


def _agent(kind: str, reduce: str) -> dict[str, object]:
    node = {"name": "a", "uses": "set", "with": {"values": {"found": "'abc'"}}}
    return {"workflow": {"state": {"found": {"type": kind, "reduce": reduce}}, "start": "a", "nodes": [node]}}


async def test_a_single_item_is_added_as_one():
    for kind, reduce in (("array", "append"), ("any", "append"), ("any", "union")):
        async with running(_agent(kind, reduce)) as it:
            values = await it.client.runs.wait(None, "agent", input={"found": "def"})
        assert values == {"found": ["def", "abc"]}


async def test_nothing_is_no_message():
    async with running({"models": [ECHO], "workflow": CHAT}) as it:
        with pytest.raises(UnprocessableEntityError, match="takes messages such as"):
            await it.client.runs.create(None, "agent", input={"messages": None})


async def test_a_long_list_of_different_items_keeps_nobody_waiting():
    items = list(range(100_000))
    begin = time.process_time()
    async with running(_agent("array", "union")) as it:
        values = await it.client.runs.wait(None, "agent", input={"found": [*items, 7]})
    assert values == {"found": [*items, "abc"]}
    assert time.process_time() - begin < 10
