from __future__ import annotations

import asyncio

import pytest

from agent_runtime.auth.turns import Turns
from agent_runtime.errors import TooManyRequestsError


async def test_sources_take_turns_and_who_goes_away_gives_up_the_turn():
    turns, order = Turns(1, 3), []

    async def take(source: str) -> None:
        async with turns.turn(source):
            order.append(source)
            await asyncio.sleep(0)

    async with turns.turn("first"):
        waiting = [asyncio.create_task(take(source)) for source in ("a1", "a1", "a1", "b", "c", "b")]
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequestsError):
            await take("a1")
        waiting[3].cancel()
    waiting[0].cancel()  # in the moment that it gets its turn
    await asyncio.wait(waiting, timeout=5)
    assert order == ["c", "a1", "b", "a1"]
    await take("last")
    assert order[-1] == "last"
