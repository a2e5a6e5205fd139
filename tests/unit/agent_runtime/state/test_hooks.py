"""Webhooks that can't be read; tests/integration/test_key_lost.py tries the rest on MongoDB."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agent_runtime.state.mongo.hooks import Hooks
from agent_runtime.state.records import Hook, now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.mark.parametrize("body", ["{", "[]", None])
async def test_one_that_is_no_json_makes_room_for_the_others(body):
    moment = now()
    kept = [
        {"_id": name, **asdict(Hook(name, "r", "t", 1, "https://hooks.example", {}, moment)), "body": text}
        for name, text in (("bad", body), ("good", '{"a": 1}'))
    ]
    left = []

    async def found() -> AsyncIterator[dict[str, Any]]:
        for document in kept:
            yield document

    async def update_one(wanted: dict[str, Any], change: dict[str, Any]) -> None:
        left.append((wanted["_id"], change["$set"]["due"]))

    collection = SimpleNamespace(find=lambda *_, **__: found(), update_one=update_one)
    connection: Any = SimpleNamespace(database={"webhooks": collection})
    hooks = await Hooks(connection, "tests/agent").due_hooks(moment, 10)
    assert [(hook.hook_id, hook.body) for hook in hooks] == [("good", {"a": 1})]
    assert [(name, due > moment + timedelta(minutes=1)) for name, due in left] == [("bad", True)]
