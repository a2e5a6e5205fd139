from __future__ import annotations

import pytest

from agent_runtime.state.checkpoints import keys
from agent_runtime.state.checkpoints.keys import LogKey


@pytest.mark.parametrize("thread", ["t", "a|b", "a/b", "0123~x.y-z", "%7C"])
@pytest.mark.parametrize("namespace", ["", "child:1", "a:1|b:2", "1|x"])
def test_a_log_is_known_by_its_documents(thread, namespace):
    key = LogKey("shop/helper", thread, namespace)
    for name in (key.head, key.segment(17)):
        assert keys.log_of(name, "shop/helper") == key
    whole = keys.thread_range("shop/helper", thread)
    for name in (key.head, key.segment(1 << 39), key.chunk("ff" * 16, 3)):
        assert whole["$gte"] <= name < whole["$lt"]
    assert key.segments["$gte"] <= key.segment(255) < key.segments["$lt"]


def test_ranges_hold_nothing_of_others():
    whole = keys.thread_range("shop/help", "t")
    for other in (LogKey("shop/helper", "t", ""), LogKey("shop/help", "tt", ""), LogKey("shop/help", "t|", "")):
        assert not whole["$gte"] <= other.head < whole["$lt"]
    agents = keys.agent_range("shop/help")
    assert not agents["$gte"] <= LogKey("shop/helper", "t", "").head < agents["$lt"]
